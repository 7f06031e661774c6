package peregrine

import (
	"context"
	"time"
	"unique"

	"github.com/peregrine-rpc/peregrine/core"
)

// How streams begin, at the client and at the server.

// Stream opens a stream of a method. It does not wait for the server: an error of the
// connection or the server shows in Recv. header is what the server's handler finds in
// [Stream.Header]; it is copied. A deadline of ctx travels to the server; when ctx
// ends, so does the stream, at both sides.
func (s *Session) Stream(ctx context.Context, method uint16, header []byte) (*Stream, error) {
	return Method{session: s, number: method}.Stream(ctx, header)
}

// Stream opens a stream of the method, as [Session.Stream] does; of one known by name
// it waits for the number, if that is not known.
func (m Method) Stream(ctx context.Context, header []byte) (*Stream, error) {
	if m.session == nil || m.session.loop == nil {
		return nil, errNotOpen
	}
	if open := m.session.endpoint.stream; open != nil {
		return open(ctx, m, header)
	}
	return m.stream(ctx, header)
}

func (m Method) stream(ctx context.Context, header []byte) (*Stream, error) {
	known := binding{number: m.number}
	if m.named != nil {
		var err error
		if known, err = m.binding(ctx); err != nil {
			return nil, err
		}
	}
	s := m.session
	timeout := time.Duration(0)
	deadline, ok := ctx.Deadline()
	if ok {
		timeout = time.Until(deadline)
	}
	if ctx.Err() != nil || ok && timeout <= 0 {
		return nil, ended(ctx, false)
	}
	terms := termsOf(ctx)
	st := &Stream{loop: s.loop, client: true, method: m.number, named: m.named, peer: unique.Make(s.Peer()), ctx: ctx, trace: terms.trace}
	st.prepare(&core.Stream{
		Method: known.number, Tied: known.connection, Trace: st.Trace(),
		Header: append([]byte(nil), header...), Timeout: timeout, WaitForReady: s.waitForReady || terms.ready,
	})
	begin := func() {
		s.session.Open(st.stream)
		st.stream.Receive()
	}
	if s.loop.here() {
		begin()
	} else if !s.loop.post(message{do: begin}) {
		return nil, errClosed
	}
	if ctx.Done() != nil {
		st.until(context.AfterFunc(ctx, func() { st.give(ended(ctx, true)) }))
	}
	return st, nil
}

// until has undo be called when the stream ends.
func (st *Stream) until(undo func() bool) {
	st.mu.Lock()
	over := st.over
	st.undo = undo
	st.mu.Unlock()
	if over {
		undo()
	}
}

// prepare makes st the user of an engine's stream.
func (st *Stream) prepare(stream *core.Stream) {
	st.stream = stream
	st.stream.User = (*streamUser)(st)
	st.changed.L = &st.mu
	st.turn = st.take
}

// HandleStream sets the handler of a method's streams, on all loops, in place of the
// one it may have; nil removes it. Calls of the method have a handler of their own.
func (e *Endpoint) HandleStream(method uint16, h StreamHandler) error {
	h, err := e.placedStream(h)
	if err == nil {
		err = e.names.take(method)
	}
	if err != nil {
		return err
	}
	return e.onLoops(func(l *loop) { l.handleStream(method, h) })
}

// placedStream is a handler as loops run it.
func (e *Endpoint) placedStream(h StreamHandler) (StreamHandler, error) {
	switch {
	case len(e.loops) == 0:
		return nil, errNotOpen
	case h == nil:
		return nil, nil
	}
	return intercepted(e.streamInterceptors, h)
}

// handleStream sets a method's handler of streams in the engine.
func (l *loop) handleStream(method uint16, h StreamHandler) {
	if h == nil {
		l.engine.HandleStream(method, nil)
		return
	}
	h = l.endpoint.authorizedStream(h)
	l.engine.HandleStream(method, func(s *core.Stream) {
		st := &Stream{loop: l, method: method, peer: unique.Make(s.Peer()), tls: tlsOf(s.Identity()), header: append([]byte(nil), s.Header...), headed: true}
		if s.Trace.IsValid() {
			trace := s.Trace
			st.trace = &trace
		}
		st.prepare(s)
		s.Hold()
		s.Receive()
		go st.serve(h)
	})
}

// serve runs the handler, and ends the stream as it says.
func (st *Stream) serve(h StreamHandler) {
	code, text := Internal, ""
	returned := false
	defer func() {
		if !returned {
			text = st.loop.endpoint.mishaps.caught(recover(), st.method, st.peer.Value())
		}
		st.finish(code, text)
		st.loop.post(message{do: st.stream.Release})
	}()
	err := h(st)
	returned = true
	code, text = outcome(err)
}

// outcome is the code and text of what a handler returns.
func outcome(err error) (Code, string) {
	if err == nil {
		return OK, ""
	}
	return status(err)
}
