package pgrpc

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/peregrine-rpc/peregrine"
)

// clientStream is a [grpc.ClientStream] over a stream.
type clientStream struct {
	clientRPC
	stream *peregrine.Stream
	cancel context.CancelFunc

	sentLast bool
	arrived  frames

	head     sync.Mutex // for whether the server's header is known
	asked    bool       // it is
	headless error      // why there is no header
	looked   bool       // whether the first message has arrived, since that had to be known
	firstErr error      // how the stream ended instead

	received bool
	end      error // sticky: how it ended for Recv
}

func (cc *ClientConn) openStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, opts []grpc.CallOption,
) (*clientStream, error) {
	s := &clientStream{clientRPC: clientRPC{
		conn: cc, method: method, known: cc.methods.of(cc.session, method), desc: desc, opts: opts,
	}}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		s.finish(err)
		return nil, err
	}
	return s, nil
}

func (s *clientStream) open() error {
	s.out.joined = s.conn.joins.Load()
	opening, err := s.opening(nil)
	if err != nil {
		return err
	}
	s.ctx, s.cancel = context.WithCancel(s.ctx)
	ctx := s.ctx
	if s.info.waitForReady {
		ctx = peregrine.WaitForReady(ctx)
	}
	if s.stream, err = s.known.open(ctx, opening); err != nil {
		s.cancel()
		return s.failure(err)
	}
	if s.out.joined {
		s.stream.Join()
	}
	if err := s.connected(); err != nil {
		s.cancel()
		return err
	}
	s.ctx = peer.NewContext(s.ctx, s.conn.peer()) // who that is shows by now
	s.sent()
	stop := context.AfterFunc(s.user, func() { s.finish(contextError(s.user.Err())) })
	context.AfterFunc(s.ctx, func() { stop() })
	return nil
}

// connected waits until the stream has a connection, or has failed for want of one. A
// stream of a connection that is lost by now may have ended well before: RecvMsg tells.
func (s *clientStream) connected() error {
	session := s.conn.session
	opened := false // by the loop, for certain
	for {
		switch state := session.State(); {
		case state == peregrine.Ready:
			return nil
		case state == peregrine.Shutdown:
			return errClosing
		case state == peregrine.TransientFailure && !s.info.waitForReady && !opened:
			session.MTU() // asks the loop, which has opened the stream by then: this state may be of before
			opened = true
		case state == peregrine.TransientFailure && !s.info.waitForReady:
			s.look()
			if s.firstErr == nil || s.firstErr == io.EOF || len(s.stream.Trailer()) > 0 {
				return nil
			}
			return s.failure(s.firstErr)
		case !session.WaitForStateChange(s.ctx, state):
			return contextError(s.ctx.Err())
		}
	}
}

// finish ends the RPC, and the stream where that goes on.
func (s *clientStream) finish(err error) {
	s.clientRPC.finish(err)
	if s.cancel != nil {
		s.cancel()
	}
}

func (s *clientStream) Context() context.Context { return s.ctx }

func (s *clientStream) Header() (metadata.MD, error) {
	if err := s.waitHeader(); err != nil {
		s.finish(err)
		return nil, nil
	}
	return s.shownHeader(), nil
}

// waitHeader returns how the stream ended if there is no header.
func (s *clientStream) waitHeader() error {
	s.head.Lock()
	defer s.head.Unlock()
	if s.asked {
		return s.headless
	}
	header, err := s.stream.Header()
	if err == nil && header == nil {
		if !s.looked {
			s.look()
		}
		err = s.firstErr
	}
	s.asked = true
	switch {
	case err != nil:
		s.looked, s.firstErr = true, err
		s.ending(err)
		s.headless = s.end
	case header == nil:
		s.headless = s.heading(nil)
	default:
		from := &reader{b: header}
		s.headless = s.heading(from)
		s.arrived.joined = from.abilities()&ableToJoin != 0
		s.conn.says(s.arrived.joined)
	}
	return s.headless
}

// look finds out whether a message or an end comes first.
func (s *clientStream) look() {
	s.firstErr = s.arrived.fill(s.stream)
	s.looked = true
}

// ending takes in how the stream ended.
func (s *clientStream) ending(err error) {
	if s.end != nil {
		return
	}
	trailer := s.stream.Trailer()
	switch {
	case len(trailer) > 0:
		s.end = s.clientRPC.ending(&reader{b: trailer})
	case err == io.EOF:
		s.ended(nil)
	case err == errFrame:
		s.end = malformed(err)
	default:
		s.end = s.failure(err)
		if status.Code(s.end) == codes.Internal { // as who does not know messages that come joined refuses
			s.conn.joins.Store(false)
		}
	}
	if s.end == nil {
		s.end = io.EOF
	}
}

func (s *clientStream) Trailer() metadata.MD {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trailer.Copy()
}

func (s *clientStream) SendMsg(m any) error {
	err := s.send(m)
	switch {
	case err != nil && err != io.EOF:
		s.finish(err)
	case s.desc.ClientStreams:
	case err == io.EOF:
		return nil // as generated code wants it: RecvMsg says why
	case err == nil:
		s.stream.CloseSend()
	}
	return err
}

func (s *clientStream) send(m any) error {
	if s.sentLast {
		return status.Error(codes.Internal, "SendMsg called after CloseSend")
	}
	s.sentLast = !s.desc.ClientStreams
	b := newBufferFor(s.out.room(m))
	var size sizes
	var err error
	if b.b, size, err = s.out.appendFrame(b.b, m, s.info.maxSent); err != nil {
		return err
	}
	if err := s.stream.Send(b.b); err != nil { // and b may be in use
		if errors.Is(err, peregrine.ErrOnLoop) {
			return rpcError(err)
		}
		return io.EOF
	}
	b.free()
	if sh := s.conn.stats; sh != nil {
		sh.HandleRPC(s.ctx, outPayload(true, m, size))
	}
	return nil
}

func (s *clientStream) CloseSend() error {
	s.sentLast = true
	return s.stream.CloseSend()
}

func (s *clientStream) RecvMsg(m any) error {
	err := s.receive(m)
	if err != nil || s.desc.ServerStreams {
		return err
	}
	// To know how the RPC ended.
	switch err = s.receive(m); err {
	case io.EOF:
		return nil
	case nil:
		return status.Error(codes.Internal,
			"cardinality violation: expected <EOF> for non server-streaming RPCs, but received another message")
	}
	return err
}

func (s *clientStream) receive(m any) error {
	err := s.next(m)
	if err != nil {
		s.finish(err)
	}
	return err
}

func (s *clientStream) next(m any) error {
	if !s.received { // else it is known
		if err := s.waitHeader(); err != nil && !s.looked {
			return err
		}
	}
	message, err := []byte(nil), s.firstErr
	if err == nil {
		message, err = s.arrived.next(s.stream)
	}
	if err != nil {
		s.ending(err)
		if s.end == io.EOF && !s.desc.ServerStreams && !s.received {
			return errNoMessage
		}
		return s.end
	}
	s.received = true
	size, err := s.in.decode(message, m, s.info.maxReceived, atClient)
	if err != nil {
		return err
	}
	if sh := s.conn.stats; sh != nil {
		sh.HandleRPC(s.ctx, inPayload(true, m, size))
	}
	return nil
}

// invokeByStream calls, like a unary method, one that is not.
func (cc *ClientConn) invokeByStream(r *clientRPC, args, reply any) error {
	s := &clientStream{clientRPC: clientRPC{
		conn: cc, method: r.method, known: r.known, desc: unaryDesc, opts: r.opts, info: r.info,
		user: r.user, ctx: r.ctx, md: r.md, began: r.began,
		in: coding{codec: r.info.codec}, out: r.out,
	}}
	if err := s.open(); err != nil {
		s.finish(err)
		return err
	}
	defer s.cancel()
	if err := s.SendMsg(args); err != nil {
		return err
	}
	return s.RecvMsg(reply)
}
