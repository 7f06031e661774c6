package pconnect

import (
	"context"
	"errors"
	"io"
	"strings"

	"connectrpc.com/connect/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// binary ends the keys whose values are bytes: in connect's headers they are in base64.
const binary = "-bin"

// reserved says whether a key is the protocol's own, which connect has transports ignore.
func reserved(key string) bool {
	switch key {
	case "content-type", "user-agent", "te", "accept-encoding", "content-encoding", "content-length", "host":
		return true
	}
	return strings.HasPrefix(key, ":") || strings.HasPrefix(key, "grpc-") || strings.HasPrefix(key, "connect-")
}

// toMetadata makes metadata of a header.
func toMetadata(header *connect.Header) (metadata.MD, error) {
	md := metadata.MD{}
	for key, values := range header.All() {
		key = strings.ToLower(key)
		if reserved(key) {
			continue
		}
		for _, value := range values {
			if strings.HasSuffix(key, binary) {
				decoded, err := connect.DecodeBinaryHeader(value)
				if err != nil {
					return nil, connect.Errorf(connect.CodeInternal, "header %s is not base64: %v", key, err)
				}
				value = string(decoded)
			}
			md.Append(key, value)
		}
	}
	return md, nil
}

// fromMetadata adds metadata to a header.
func fromMetadata(header *connect.Header, md metadata.MD) {
	for key, values := range md {
		for _, value := range values {
			if strings.HasSuffix(key, binary) {
				value = connect.EncodeBinaryHeader([]byte(value))
			}
			header.Add(key, value)
		}
	}
}

// fromStatus makes connect's error of gRPC's. io.EOF stays.
func fromStatus(ctx context.Context, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	s := status.Convert(err)
	told := connect.NewError(connect.Code(s.Code()), s.Message())
	if ended := ctx.Err(); ended != nil && (s.Code() == codes.Canceled || s.Code() == codes.DeadlineExceeded) {
		return told.WithCause(ended)
	}
	for _, detail := range s.Proto().GetDetails() {
		told = told.WithDetail(&connect.ErrorDetail{Type: detail.TypeUrl[strings.LastIndexByte(detail.TypeUrl, '/')+1:], Value: detail.Value})
	}
	return told.WithRemote()
}

// toStatus makes gRPC's error of what a handler of connect's returns. Only what that has
// meant for clients is told.
func toStatus(err error) error {
	var told *connect.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told) && told != nil && told.IsRemote(): // another server's verdict
		return status.Error(codes.Internal, "")
	case told != nil:
		p := status.New(codes.Code(told.Code()), told.Message()).Proto()
		for _, detail := range told.Details() {
			p.Details = append(p.Details, &anypb.Any{TypeUrl: "type.googleapis.com/" + detail.Type, Value: detail.Value})
		}
		return status.FromProto(p).Err()
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "")
	}
	return status.Error(codes.Unknown, "")
}
