package pconnect

import (
	"context"
	"io"
	"sync"

	"connectrpc.com/connect/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// NewTransport carries the RPCs of connect's clients over conn, each with the options.
// Closing conn is the caller's. Any goroutine may use it.
func NewTransport(conn grpc.ClientConnInterface, opts ...grpc.CallOption) connect.Transport {
	return &transport{conn, opts}
}

type transport struct {
	conn grpc.ClientConnInterface
	opts []grpc.CallOption
}

// NewClientStream implements [connect.Transport].
func (t *transport) NewClientStream(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
	info, ok := connect.CallInfoForClientContext(ctx)
	if !ok {
		info = &connect.CallInfo{}
	}
	info.Spec, info.Protocol, info.Codec = spec, connect.ProtocolNameGRPC, "proto"
	c := call{transport: t, spec: spec, info: info}
	c.ctx, c.cancel = context.WithCancel(ctx)
	if spec.StreamType == connect.StreamTypeUnary {
		return &unaryStream{call: c, sent: make(chan struct{})}, nil
	}
	return &clientStream{call: c}, nil
}

// call is what calls of all kinds have.
type call struct {
	*transport
	spec   connect.Spec
	info   *connect.CallInfo
	ctx    context.Context
	cancel context.CancelFunc
}

// outgoing is the context with what the request's header has.
func (c *call) outgoing() (context.Context, error) {
	md, err := toMetadata(c.info.RequestHeader())
	if err != nil {
		return nil, err
	}
	before, _ := metadata.FromOutgoingContext(c.ctx)
	return metadata.NewOutgoingContext(c.ctx, metadata.Join(before, md)), nil
}

func (c *call) from(p *peer.Peer) {
	if p != nil && p.Addr != nil {
		c.info.PeerAddr = p.Addr.String()
	}
}

func (c *call) Close() error {
	c.cancel()
	return nil
}

// unaryStream is a unary call, which is made once its reply is asked for.
type unaryStream struct {
	call
	once    sync.Once
	sent    chan struct{} // closed once there is a request, or will be none
	request any
	ended   bool
}

func (s *unaryStream) SendHeaders() error { return nil }

func (s *unaryStream) Send(m any) error {
	var err error = connect.NewError(connect.CodeInternal, "a unary RPC has one request")
	s.once.Do(func() {
		s.request, err = m, nil
		close(s.sent)
	})
	return err
}

func (s *unaryStream) CloseSend() error {
	s.once.Do(func() { close(s.sent) })
	return nil
}

func (s *unaryStream) Receive(m any) error {
	if s.ended {
		return io.EOF
	}
	s.ended = true
	defer s.cancel()
	select {
	case <-s.sent:
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	if s.request == nil {
		return connect.NewError(connect.CodeInternal, "a unary RPC has a request")
	}
	ctx, err := s.outgoing()
	if err != nil {
		return err
	}
	var header, trailer metadata.MD
	var p peer.Peer
	opts := append(s.opts[:len(s.opts):len(s.opts)], grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&p))
	err = s.conn.Invoke(ctx, s.spec.Procedure, s.request, m, opts...)
	fromMetadata(s.info.ResponseHeader(), header)
	fromMetadata(s.info.ResponseTrailer(), trailer)
	s.from(&p)
	return fromStatus(s.ctx, err)
}

// clientStream is a stream, which is opened once something is asked of it.
type clientStream struct {
	call
	once   sync.Once
	stream grpc.ClientStream
	err    error // why there is none

	headed, ended bool // for who receives
}

// open opens the stream, the first time.
func (s *clientStream) open() error {
	s.once.Do(func() {
		ctx, err := s.outgoing()
		if err == nil {
			desc := &grpc.StreamDesc{
				ClientStreams: s.spec.StreamType&connect.StreamTypeClient != 0, ServerStreams: s.spec.StreamType&connect.StreamTypeServer != 0,
			}
			s.stream, err = s.conn.NewStream(ctx, desc, s.spec.Procedure, s.opts...)
		}
		if s.err = fromStatus(s.ctx, err); s.err != nil {
			s.cancel()
		}
	})
	return s.err
}

func (s *clientStream) SendHeaders() error { return s.open() }

func (s *clientStream) Send(m any) error {
	return s.do(func() error { return s.stream.SendMsg(m) })
}

func (s *clientStream) CloseSend() error {
	return s.do(func() error { return s.stream.CloseSend() })
}

// do does something to the stream, which it opens if it is the first.
func (s *clientStream) do(f func() error) error {
	if err := s.open(); err != nil {
		return err
	}
	return fromStatus(s.ctx, f())
}

func (s *clientStream) Receive(m any) error {
	if s.ended {
		return io.EOF
	}
	if err := s.open(); err != nil {
		return err
	}
	err := s.stream.RecvMsg(m)
	if !s.headed {
		s.headed = true
		header, _ := s.stream.Header() // RecvMsg has said why, if there is none
		fromMetadata(s.info.ResponseHeader(), header)
		p, _ := peer.FromContext(s.stream.Context())
		s.from(p)
	}
	one := s.spec.StreamType == connect.StreamTypeClient
	if err != nil || one {
		fromMetadata(s.info.ResponseTrailer(), s.stream.Trailer())
		err = fromStatus(s.ctx, err)
		s.ended = one
		s.cancel()
	}
	return err
}
