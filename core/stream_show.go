package core

import (
	"bytes"
	"time"

	"github.com/peregrine-rpc/peregrine/wire"
)

// Receive asks for the next message. It brings none before the present Poll ends, but
// may do so in it.
func (s *Stream) Receive() {
	if s.state == streamOver {
		return
	}
	s.in.wants = true
	s.lookAhead()
}

// nextHeld returns what may be shown of what is held.
func (s *Stream) nextHeld() *held {
	if s.in.held == nil {
		return nil
	}
	if h := s.in.held.live()[0]; h.place == s.in.next && h.in == nil && s.takes(h.kind) {
		return h
	}
	return nil
}

// lookAhead has what is held be shown, if that may be.
func (s *Stream) lookAhead() {
	if s.state == streamOpen && s.nextHeld() != nil {
		s.takeTurn()
	}
}

// receiveHeld shows one message that is held.
func (s *Stream) receiveHeld() {
	if s.state != streamOpen {
		return
	}
	h := s.nextHeld()
	if h == nil {
		return
	}
	e := s.mux.e
	s.in.held.pop()
	if len(s.in.held.live()) == 0 {
		e.holdings.put(s.in.held)
		s.in.held = nil
	}
	e.unshow()
	e.shown, e.shownOf = h, s.mux // until the user has returned, if ever
	s.show(h.kind, h.code, h.deadline, h.data, h.length)
	e.unshow()
}

// unshow recycles the message that a user was shown last.
func (e *Endpoint) unshow() {
	if h := e.shown; h != nil {
		m := e.shownOf
		e.shown, e.shownOf = nil, nil
		m.forget(h)
	}
}

// show tells the user of the next message.
func (s *Stream) show(kind wire.Kind, code uint8, deadline time.Duration, data []byte, length uint32) {
	first := !s.in.begun
	s.in.begun = true
	s.in.next += wire.StreamPlace + length
	if kind == wire.StreamData {
		s.in.wants = false
	}
	if kind != wire.StreamEnd {
		s.grantMore()
	}
	s.lookAhead() // now: the user may not return
	switch {
	case first != (kind == wire.StreamHeader) && (s.session == nil || !first):
		s.fail(Internal, "a header is where it does not belong, or missing")
	case kind == wire.StreamEnd:
		s.finish(code, data)
	case kind == wire.StreamHeader && s.session == nil:
		s.serve(deadline, data)
	case s.in.drains:
	case kind == wire.StreamHeader:
		s.tell(s.User.Opened, data)
	default:
		s.tell(s.User.Received, data)
	}
}

// tell gives the user bytes that are valid until it returns.
func (s *Stream) tell(f func(*Stream, []byte), data []byte) {
	if s.endpoint().cfg.Poison {
		data = bytes.Clone(data)
		defer poison(data)
	}
	f(s, data)
}

// finish takes in that the other side has sent its last.
func (s *Stream) finish(code uint8, body []byte) {
	if s.session == nil {
		s.in.closed = true
		if !s.in.drains {
			s.User.Closed(s)
		}
		return
	}
	text, trailer, err := wire.ParseEnd(body)
	if err != nil {
		s.fail(Internal, "the server's end of the stream does not decode")
		return
	}
	s.Trailer = bytes.Clone(trailer)
	if code == uint8(OK) {
		s.over(nil)
		return
	}
	s.over(responseError(code, string(text)))
}

// serve hands a stream to its handler.
func (s *Stream) serve(deadline time.Duration, header []byte) {
	e := s.mux.e
	handler := e.streamHandlers[s.Method]
	switch {
	case handler == nil:
		s.fail(Unimplemented, "no such method of streams")
		return
	case deadline != 0 && e.packets.Now() >= deadline:
		s.fail(DeadlineExceeded, "expired before the handler began")
		return
	}
	if s.Deadline = deadline; deadline != 0 {
		s.setDeadline(deadline)
	}
	e.stats.StreamsServed++
	s.handled = true
	defer func() { // also if the handler does not return
		s.Header = nil
		if s.User == nil {
			s.fail(Internal, "the handler did not take the stream")
		}
	}()
	s.tell(func(s *Stream, header []byte) {
		s.Header = header
		handler(s)
	}, header)
}
