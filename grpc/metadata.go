package pgrpc

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// validate says whether md may travel, by gRPC's rules.
func validate(md metadata.MD) error {
	for k, values := range md {
		if err := validatePair(k, values...); err != nil {
			return err
		}
	}
	return nil
}

func validatePair(key string, values ...string) error {
	if err := validateKey(key); err != nil || strings.HasSuffix(key, "-bin") {
		return err
	}
	for _, v := range values {
		for i := range len(v) {
			if v[i] < 0x20 || v[i] > 0x7E {
				return status.Error(codes.Internal, fmt.Sprintf("header key %q contains value with non-printable ASCII characters", key))
			}
		}
	}
	return nil
}

func validateKey(key string) error {
	switch {
	case key == "":
		return status.Error(codes.Internal, "there is an empty key in the header")
	case key[0] != ':' && strings.IndexFunc(key, illegalInKey) >= 0:
		return status.Error(codes.Internal, fmt.Sprintf("header key %q contains illegal characters not in [0-9a-z-_.]", key))
	}
	return nil
}

func illegalInKey(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
}

// outgoing is the metadata that a client's context brings; the map is the caller's.
func outgoing(ctx context.Context) (metadata.MD, error) {
	raw := ctx.Value(outgoingKey)
	if raw == nil {
		return nil, nil
	}
	if err := validateLiteral(raw); err != nil {
		return nil, err
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	return md, validate(md)
}

// validateLiteral looks at the keys as they were given. FromOutgoingContext, the only
// public way to them, makes them lower case, and so hides those in upper case, which
// grpc-go refuses. Of another version's layout it says nothing.
func validateLiteral(raw any) error {
	v := reflect.ValueOf(raw)
	if v.Kind() != reflect.Struct || v.NumField() == 0 || v.Field(0).Kind() != reflect.Map {
		return nil
	}
	for keys := v.Field(0).MapRange(); keys.Next(); {
		if key := keys.Key(); key.Kind() == reflect.String {
			if err := validateKey(key.String()); err != nil {
				return err
			}
		}
	}
	return nil
}
