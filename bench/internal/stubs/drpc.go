package stubs

import (
	"context"
	"errors"
	"io"
	"net"

	"google.golang.org/grpc"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcpool"
	"storj.io/drpc/drpcserver"
)

// What drpc has for a service is what its own generator writes, over the same messages.
// Here it is put under gRPC's stubs, so that all are called alike.

// protoEncoding is drpc's for protocol buffers.
type protoEncoding struct{}

func (protoEncoding) Marshal(m drpc.Message) ([]byte, error) { return proto.Marshal(m.(proto.Message)) }
func (protoEncoding) Unmarshal(b []byte, m drpc.Message) error {
	return proto.Unmarshal(b, m.(proto.Message))
}
func (protoEncoding) MarshalAppend(b []byte, m drpc.Message) ([]byte, error) {
	return proto.MarshalOptions{}.MarshalAppend(b, m.(proto.Message))
}

// drpcClient is connections to one server: drpc's carry one call at a time each.
type drpcClient struct {
	pool *drpcpool.Pool[string, drpcpool.Conn]
	conn drpcpool.Conn
}

func dialDRPC(addr string) *drpcClient {
	pool := drpcpool.New[string, drpcpool.Conn](drpcpool.Options{})
	return &drpcClient{pool, pool.Get(context.Background(), addr, func(ctx context.Context, addr string) (drpcpool.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return drpcconn.New(conn), nil
	})}
}

func (c *drpcClient) Invoke(ctx context.Context, method string, args, reply any, _ ...grpc.CallOption) error {
	return c.conn.Invoke(ctx, method, protoEncoding{}, args, reply)
}

func (c *drpcClient) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := c.conn.NewStream(ctx, method, protoEncoding{})
	return &drpcStream{Stream: stream}, err
}

func (c *drpcClient) Close() error { return errors.Join(c.conn.Close(), c.pool.Close()) }

// drpcStream is a stream at either side, without metadata.
type drpcStream struct{ drpc.Stream }

func (s *drpcStream) SendMsg(m any) error          { return s.MsgSend(m, protoEncoding{}) }
func (s *drpcStream) RecvMsg(m any) error          { return s.MsgRecv(m, protoEncoding{}) }
func (s *drpcStream) Header() (metadata.MD, error) { return nil, nil }
func (s *drpcStream) Trailer() metadata.MD         { return nil }
func (s *drpcStream) SetHeader(metadata.MD) error  { return nil }
func (s *drpcStream) SendHeader(metadata.MD) error { return nil }
func (s *drpcStream) SetTrailer(metadata.MD)       {}

// drpcService serves what the generated description of a service says.
type drpcService struct {
	desc *grpc.ServiceDesc
	impl any
}

func (d drpcService) HandleRPC(stream drpc.Stream, method string) error {
	prefix := "/" + d.desc.ServiceName + "/"
	for i := range d.desc.Methods {
		if m := &d.desc.Methods[i]; method == prefix+m.MethodName {
			s := &drpcStream{stream}
			reply, err := m.Handler(d.impl, stream.Context(), s.RecvMsg, nil)
			if err != nil {
				return err
			}
			return errors.Join(s.SendMsg(reply), stream.CloseSend())
		}
	}
	for i := range d.desc.Streams {
		if m := &d.desc.Streams[i]; method == prefix+m.StreamName {
			err := m.Handler(d.impl, &drpcStream{stream})
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
	return errors.New("no such method: " + method)
}

func serveDRPC() (addr string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		_ = drpcserver.New(drpcService{&pb.BenchmarkService_ServiceDesc, service{}}).Serve(ctx, listener)
		close(done)
	}()
	return listener.Addr().String(), func() { cancel(); <-done }, nil
}
