package pgrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/stats"

	"github.com/peregrine-rpc/peregrine"
)

// DialOption configures a [ClientConn]. The options have the names and meanings of
// grpc's, whose own type is opaque.
type DialOption func(*ClientConn)

// WithEngine passes options to the session that NewClient dials.
func WithEngine(opts ...peregrine.Option) DialOption {
	return func(cc *ClientConn) { cc.engine = append(cc.engine, opts...) }
}

// WithUnaryInterceptor has Invoke go through an interceptor; of several the first is
// the outermost. The *grpc.ClientConn that interceptors are given is nil.
func WithUnaryInterceptor(i grpc.UnaryClientInterceptor) DialOption {
	return WithChainUnaryInterceptor(i)
}

// WithChainUnaryInterceptor adds interceptors.
func WithChainUnaryInterceptor(is ...grpc.UnaryClientInterceptor) DialOption {
	return func(cc *ClientConn) {
		for _, i := range is {
			cc.unary = chainUnaryClient(cc.unary, i)
		}
	}
}

func chainUnaryClient(outer, inner grpc.UnaryClientInterceptor) grpc.UnaryClientInterceptor {
	if outer == nil {
		return inner
	}
	return func(
		ctx context.Context, method string, args, reply any, none *grpc.ClientConn, invoker grpc.UnaryInvoker,
		opts ...grpc.CallOption,
	) error {
		within := func(ctx context.Context, method string, args, reply any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
			return inner(ctx, method, args, reply, nil, invoker, opts...)
		}
		return outer(ctx, method, args, reply, none, within, opts...)
	}
}

// WithStreamInterceptor has NewStream go through an interceptor; of several the first
// is the outermost. The *grpc.ClientConn that interceptors are given is nil.
func WithStreamInterceptor(i grpc.StreamClientInterceptor) DialOption {
	return WithChainStreamInterceptor(i)
}

// WithChainStreamInterceptor adds interceptors.
func WithChainStreamInterceptor(is ...grpc.StreamClientInterceptor) DialOption {
	return func(cc *ClientConn) {
		for _, i := range is {
			cc.stream = chainStreamClient(cc.stream, i)
		}
	}
}

func chainStreamClient(outer, inner grpc.StreamClientInterceptor) grpc.StreamClientInterceptor {
	if outer == nil {
		return inner
	}
	return func(
		ctx context.Context, desc *grpc.StreamDesc, none *grpc.ClientConn, method string, streamer grpc.Streamer,
		opts ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		within := func(
			ctx context.Context, desc *grpc.StreamDesc, _ *grpc.ClientConn, method string, opts ...grpc.CallOption,
		) (grpc.ClientStream, error) {
			return inner(ctx, desc, nil, method, streamer, opts...)
		}
		return outer(ctx, desc, none, method, within, opts...)
	}
}

// WithDefaultCallOptions puts options in front of those of each call.
func WithDefaultCallOptions(opts ...grpc.CallOption) DialOption {
	return func(cc *ClientConn) { cc.callOptions = append(cc.callOptions, opts...) }
}

// WithPerRPCCredentials adds credentials to each call. Those that require transport
// security fail on connections in plain text.
func WithPerRPCCredentials(creds credentials.PerRPCCredentials) DialOption {
	return func(cc *ClientConn) { cc.creds = append(cc.creds, creds) }
}

// WithStatsHandler tells a handler, such as otelgrpc's, of each call. It hears nothing
// of connections. With several each hears everything.
func WithStatsHandler(h stats.Handler) DialOption {
	return func(cc *ClientConn) { cc.stats = also(cc.stats, h) }
}

// WithUserAgent puts s in front of the user agent that servers see.
func WithUserAgent(s string) DialOption {
	return func(cc *ClientConn) { cc.userAgent = s + " " + userAgent }
}

// WithAuthority is what servers see as :authority, in place of the target.
func WithAuthority(s string) DialOption {
	return func(cc *ClientConn) { cc.authority = s }
}
