package pgrpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
)

func compressorNamed(name string) encoding.Compressor {
	if name == "" || name == encoding.Identity {
		return nil
	}
	return encoding.GetCompressor(name)
}

// SetSendCompressor sets how a handler's messages are compressed, before it sends its
// header: by "identity", not at all, or by a compressor that is registered and that the
// client takes. It stands for grpc.SetSendCompressor, which knows grpc's own streams
// only. ctx is the handler's.
func SetSendCompressor(ctx context.Context, name string) error {
	r, ok := grpc.ServerTransportStreamFromContext(ctx).(*serverRPC)
	if !ok {
		return errNoStream
	}
	if name != encoding.Identity {
		switch {
		case encoding.GetCompressor(name) == nil:
			return fmt.Errorf("unable to set send compressor: compressor not registered %q", name)
		case !slices.Contains(r.accepted(), name):
			return fmt.Errorf("unable to set send compressor: client does not support compressor %q", name)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.headed || r.done {
		return errors.New("transport: set send compressor called after headers sent or stream done")
	}
	r.out.encoding, r.out.compressor = name, compressorNamed(name)
	return nil
}

// ClientSupportedCompressors are those that the client of a handler says it takes; ctx
// is the handler's. It stands for the function of the same name in package grpc.
func ClientSupportedCompressors(ctx context.Context) ([]string, error) {
	r, ok := grpc.ServerTransportStreamFromContext(ctx).(*serverRPC)
	if !ok {
		return nil, errNoStream
	}
	return r.accepted(), nil
}

var errNoStream = errors.New("failed to fetch the stream from the given context")

func (r *serverRPC) accepted() []string { return strings.Split(r.terms.accepted, ",") }
