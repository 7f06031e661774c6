package pgrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/stats"
)

// ServerOption configures a [Server]. The options have the names and meanings of
// grpc's, whose own type is opaque.
type ServerOption func(*Server)

// MaxRecvMsgSize is how long messages may be that the server takes, in bytes; 4 MiB by
// default.
func MaxRecvMsgSize(bytes int) ServerOption { return func(s *Server) { s.maxReceived = bytes } }

// MaxSendMsgSize is how long messages may be that handlers send, in bytes.
func MaxSendMsgSize(bytes int) ServerOption { return func(s *Server) { s.maxSent = bytes } }

// ForceServerCodecV2 has the server use a codec whatever clients say.
func ForceServerCodecV2(c encoding.CodecV2) ServerOption { return func(s *Server) { s.codec = c } }

// ForceServerCodec has the server use a codec of the older kind.
func ForceServerCodec(c encoding.Codec) ServerOption { return func(s *Server) { s.codec = codecV1{c} } }

// UnaryInterceptor puts an interceptor around unary handlers; of several the first is
// the outermost.
func UnaryInterceptor(i grpc.UnaryServerInterceptor) ServerOption { return ChainUnaryInterceptor(i) }

// ChainUnaryInterceptor adds interceptors.
func ChainUnaryInterceptor(is ...grpc.UnaryServerInterceptor) ServerOption {
	return func(s *Server) {
		for _, i := range is {
			s.unaries = chainUnaryServer(s.unaries, i)
		}
	}
}

func chainUnaryServer(outer, inner grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
	if outer == nil {
		return inner
	}
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return outer(ctx, request, info, func(ctx context.Context, request any) (any, error) {
			return inner(ctx, request, info, handler)
		})
	}
}

// StreamInterceptor puts an interceptor around handlers of streams; of several the
// first is the outermost.
func StreamInterceptor(i grpc.StreamServerInterceptor) ServerOption { return ChainStreamInterceptor(i) }

// ChainStreamInterceptor adds interceptors.
func ChainStreamInterceptor(is ...grpc.StreamServerInterceptor) ServerOption {
	return func(s *Server) {
		for _, i := range is {
			s.streams = chainStreamServer(s.streams, i)
		}
	}
}

func chainStreamServer(outer, inner grpc.StreamServerInterceptor) grpc.StreamServerInterceptor {
	if outer == nil {
		return inner
	}
	return func(impl any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return outer(impl, stream, info, func(impl any, stream grpc.ServerStream) error {
			return inner(impl, stream, info, handler)
		})
	}
}

// UnknownServiceHandler serves the methods that nobody has registered, as streams.
func UnknownServiceHandler(h grpc.StreamHandler) ServerOption {
	return func(s *Server) {
		s.unknown = &grpc.StreamDesc{StreamName: "unknown_service_handler", Handler: h, ClientStreams: true, ServerStreams: true}
	}
}

// StatsHandler tells a handler, such as otelgrpc's, of each RPC. It hears nothing of
// connections. With several each hears everything.
func StatsHandler(h stats.Handler) ServerOption {
	return func(s *Server) { s.stats = also(s.stats, h) }
}
