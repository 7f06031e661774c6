package pconnect

import (
	"cmp"
	"context"
	"strings"

	"connectrpc.com/connect/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// Register registers all services of connect's with a server of gRPC's, before that
// serves. Interceptors of the latter see all methods as streams; connect's own are around
// them as usual.
func Register(with grpc.ServiceRegistrar, services *connect.Server) {
	var names []string
	descs := map[string]*grpc.ServiceDesc{}
	for spec := range services.Specs() {
		service, method, _ := strings.Cut(strings.TrimPrefix(spec.Procedure, "/"), "/")
		desc := descs[service]
		if desc == nil {
			desc = &grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil)}
			descs[service], names = desc, append(names, service)
		}
		desc.Streams = append(desc.Streams, grpc.StreamDesc{
			StreamName: method, Handler: func(_ any, stream grpc.ServerStream) error { return serve(services, spec, stream) },
			ClientStreams: spec.StreamType&connect.StreamTypeClient != 0, ServerStreams: spec.StreamType&connect.StreamTypeServer != 0,
		})
	}
	for _, name := range names {
		with.RegisterService(descs[name], nil)
	}
}

// serve serves an RPC.
func serve(services *connect.Server, spec connect.Spec, stream grpc.ServerStream) error {
	ctx := stream.Context()
	info := &connect.CallInfo{Spec: spec, Protocol: connect.ProtocolNameGRPC, Codec: "proto"}
	md, _ := metadata.FromIncomingContext(ctx)
	fromMetadata(info.RequestHeader(), md)
	if p, ok := peer.FromContext(ctx); ok {
		info.PeerAddr = p.Addr.String()
	}
	s := &serverStream{ctx: ctx, stream: stream, info: info}
	err := services.Call(ctx, spec.Procedure, info, s)
	trailer, invalid := toMetadata(info.ResponseTrailer())
	stream.SetTrailer(trailer)
	return toStatus(cmp.Or(err, s.head(stream.SetHeader), invalid))
}

// serverStream is an RPC as connect's handlers see it.
type serverStream struct {
	ctx    context.Context
	stream grpc.ServerStream
	info   *connect.CallInfo
	headed bool
}

func (s *serverStream) SendHeaders() error {
	return s.head(s.stream.SendHeader)
}

// head hands over the header, once.
func (s *serverStream) head(over func(metadata.MD) error) error {
	if s.headed {
		return nil
	}
	s.headed = true
	header, err := toMetadata(s.info.ResponseHeader())
	if err != nil {
		return err
	}
	return fromStatus(s.ctx, over(header))
}

func (s *serverStream) Send(m any) error {
	if err := s.head(s.stream.SetHeader); err != nil { // it goes with the message
		return err
	}
	return fromStatus(s.ctx, s.stream.SendMsg(m))
}

func (s *serverStream) Receive(m any) error {
	return fromStatus(s.ctx, s.stream.RecvMsg(m))
}
