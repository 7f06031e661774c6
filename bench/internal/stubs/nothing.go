package stubs

import (
	"context"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"
)

// nothing is a connection without a way: what stubs and messages cost by themselves. A
// call encodes and decodes both of its messages here, and a stream's message is encoded
// when it is sent and decoded when it is received, as at a client.
type nothing struct{}

func (nothing) Close() error { return nil }

func (nothing) Invoke(ctx context.Context, _ string, args, reply any, _ ...grpc.CallOption) error {
	in := new(pb.SimpleRequest)
	if err := pass(args, in); err != nil {
		return err
	}
	out, err := service{}.UnaryCall(ctx, in)
	if err != nil {
		return err
	}
	return pass(out, reply)
}

// pass has the second message be what the first is.
func pass(from, to any) error {
	b, err := proto.Marshal(from.(proto.Message))
	if err != nil {
		return err
	}
	return proto.Unmarshal(b, to.(proto.Message))
}

func (nothing) NewStream(_ context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return &nothingStream{}, nil
}

// nothingStream receives the echo of the first message that was sent, for ever.
type nothingStream struct {
	grpc.ClientStream
	sent []byte // where messages are encoded
	echo []byte
}

func (s *nothingStream) CloseSend() error { return nil }

func (s *nothingStream) SendMsg(m any) (err error) {
	if s.echo == nil {
		if s.echo, err = proto.Marshal(&pb.SimpleResponse{Payload: m.(*pb.SimpleRequest).GetPayload()}); err != nil {
			return err
		}
	}
	s.sent, err = proto.MarshalOptions{}.MarshalAppend(s.sent[:0], m.(proto.Message))
	return err
}

func (s *nothingStream) RecvMsg(m any) error { return proto.Unmarshal(s.echo, m.(proto.Message)) }
