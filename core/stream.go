package core

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Stream is two sequences of messages, one each way, between a client and the
// handler of a method: each message arrives once, in order. It takes no slot.
//
// The client opens one by [Session.Open]; it owns the Stream, which is of one use.
// The server's handler is given one. Like its Endpoint, a Stream is used by one
// goroutine at a time.
//
// Who does not call Receive stops the other side once that has sent its window,
// and no other stream.
type Stream struct {
	// Method says which handler of the server serves the stream.
	Method uint16
	// Header is what the client sends at the beginning. At the client it must not
	// change until Ended; at the server it is valid until the handler returns.
	Header []byte
	// Timeout, of a client, is after how long the stream ends with
	// DeadlineExceeded, from Open on; 0 means never, and less that it fails at once.
	Timeout time.Duration
	// Deadline, at the server, is when that is, in the endpoint's time; 0: never.
	Deadline time.Duration
	// WaitForReady has the stream wait, as long as its Timeout, where no
	// connection can be made.
	WaitForReady bool
	// Tied, of a client, is as a Call has it.
	Tied uint64
	// Trace tells the server what the stream is part of, if the server reads that. At the
	// server it is the client's; the zero Trace is none.
	Trace Trace
	// User is told what happens. The server's handler sets it.
	User StreamUser

	// Err is how the stream ended: nil or an *Error. Like Trailer it is set when
	// User is told so.
	Err error
	// Trailer is what the server added at the end. It is the client's to keep.
	Trailer []byte

	mux      *mux
	session  *Session       // of a client; nil: served
	served   *servedSession // else
	held     bool           // by its handler
	handled  bool           // its handler has begun
	names    streamNames
	state    streamState
	turn     bool // in Endpoint.turns
	deadline packet.Timer
	in       inflow
	out      outflow
}

// StreamUser is told what happens to a stream, on the endpoint's goroutine, and may
// call the stream's methods. Bytes that it is given are valid until it returns.
type StreamUser interface {
	// Opened tells a client what the server has sent at the beginning, if it did.
	Opened(s *Stream, header []byte)
	// Received brings the next message, once after each Receive.
	Received(s *Stream, message []byte)
	// Closed tells a server that the client sends no more.
	Closed(s *Stream)
	// Sent says, after a Send that returned false, that what it was given may be
	// used again, and that Send may be called again.
	Sent(s *Stream)
	// Ended is last, and called once: what happened is in Err and Trailer. Nothing
	// that was sent is read any more.
	Ended(s *Stream)
}

// StreamHandler takes in a stream that a client has opened, as told by its Method,
// Header and Deadline. It sets the stream's User, or has it fail with Internal.
type StreamHandler func(*Stream)

// streamNames are what messages call a stream by.
type streamNames struct {
	session, generation, index, use uint16
}

// lead is how a message of the stream begins.
func (n *streamNames) lead(kind wire.Kind, sequence uint32) wire.MessageLead {
	return wire.NewMessageLead(kind, n.session, n.generation, n.index, n.use, sequence)
}

type streamState uint8

const (
	streamWaiting streamState = iota // client: for the connection
	streamOpen
	streamOver
)

// streamEntry is what a session knows of a stream index, at either side.
type streamEntry struct {
	stream *Stream // nil: none is open
	use    uint16  // of the index, the latest; 0: none yet
}

// streams are those of a client's session.
type streams struct {
	entries []streamEntry // by index
	free    []uint16      // indexes
	waiting []*Stream     // for the connection
}

// HandleStream sets the handler of a method's streams; nil removes it. Calls of a
// method and its streams have handlers of their own.
func (e *Endpoint) HandleStream(method uint16, h StreamHandler) {
	if e.streamHandlers == nil {
		e.streamHandlers = map[uint16]StreamHandler{}
	}
	e.streamHandlers[method] = h
}

// Open begins st. It does not wait: st may be used at once.
func (s *Session) Open(st *Stream) {
	if st.session != nil || st.mux != nil || st.User == nil {
		panic("peregrine: a Stream is of one use, and needs a User")
	}
	if s.mux == nil {
		st.state, st.Err = streamOver, errNotMade
		st.User.Ended(st)
		return
	}
	e := s.mux.e
	st.session = s
	e.streaming++
	e.stats.StreamsOpened++
	st.put(wire.StreamHeader, st.Header)
	if st.Timeout > 0 {
		if at := e.packets.Now() + st.Timeout; at > 0 {
			st.setDeadline(at)
		}
	}
	switch {
	case s.closed:
		st.over(&Error{Code: Canceled, Message: "session is closed"})
	case st.Timeout < 0:
		st.over(&Error{Code: DeadlineExceeded, Message: "the deadline had passed before the stream was opened"})
	case s.mux.conn.State() == packet.Connected:
		s.startStream(st)
	case s.mux.failure != nil && !st.WaitForReady:
		s.mux.wanted = true
		st.over(s.reason(s.mux.failure))
	case s.streams != nil && len(s.streams.waiting) >= e.cfg.Queue:
		st.over(&Error{Code: ResourceExhausted, Message: "too many streams wait for the connection (queue)"})
	default:
		s.own().waiting = append(s.own().waiting, st)
		s.mux.connect()
	}
}

func (s *Session) own() *streams {
	if s.streams == nil {
		s.streams = &streams{}
	}
	return s.streams
}

// startStream gives st an index, and sends what it has.
func (s *Session) startStream(st *Stream) {
	m, own := s.mux, s.own()
	if st.Tied != 0 && st.Tied != m.up {
		st.over(ErrOtherConnection)
		return
	}
	if m.streams == 0 {
		st.over(&Error{Code: Unimplemented, Message: "the server takes no streams"})
		return
	}
	if m.controls >= maxControls {
		// A server that does not hear of streams that were given up would keep them, and
		// take uses that are far ahead for old ones.
		st.over(&Error{Code: ResourceExhausted, Message: "the server has yet to hear of too many streams that were given up"})
		return
	}
	var index uint16
	if n := len(own.free); n > 0 {
		index = own.free[n-1]
		own.free = own.free[:n-1]
	} else if len(own.entries) < m.streams {
		index = uint16(len(own.entries))
		own.entries = append(own.entries, streamEntry{})
	} else {
		st.over(&Error{Code: ResourceExhausted, Message: fmt.Sprintf("the session has %d streams open, and may have no more (streams)", m.streams)})
		return
	}
	entry := &own.entries[index]
	if entry.use++; entry.use == 0 {
		entry.use = 1
	}
	entry.stream = st
	st.names = streamNames{s.index, s.generation, index, entry.use}
	st.begin(m)
	for p := st.out.oldest; p != nil; p = p.newer {
		if len(p.data) > st.maxMessage() {
			st.over(tooLong(len(p.data), int64(st.maxMessage())))
			return
		}
	}
	st.proceed()
}

// begin has s be open on m.
func (s *Stream) begin(m *mux) {
	m.e.tidySoon()
	s.mux, s.state = m, streamOpen
	s.in.window = uint32(m.e.cfg.StreamWindow)
	s.in.limit, s.out.limit = s.in.window, m.streamWindow
}

// startStreams opens the streams that waited for the connection.
func (s *Session) startStreams() {
	if s.streams == nil {
		return
	}
	waiting := s.streams.waiting
	s.streams.waiting = nil
	for _, st := range waiting {
		s.startStream(st)
	}
}

// failStreams ends the streams that were open when the connection ended.
func (s *Session) failStreams(why *Error) {
	if s.streams == nil {
		return
	}
	for i := range s.streams.entries {
		if st := s.streams.entries[i].stream; st != nil {
			failure := *why
			failure.MayHaveExecuted = st.out.started()
			st.over(&failure)
		}
	}
	s.streams.entries, s.streams.free = nil, nil // the next connection knows of none
}

// failWaitingStreams ends those that wait for the connection: all, or those that do
// not wait for ready.
func (s *Session) failWaitingStreams(why *Error, all bool) {
	if s.streams == nil {
		return
	}
	for _, st := range slices.Clone(s.streams.waiting) {
		if all || !st.WaitForReady {
			st.over(why)
		}
	}
}

// endpoint is whose s is.
func (s *Stream) endpoint() *Endpoint {
	if s.mux != nil {
		return s.mux.e
	}
	return s.session.mux.e
}

// Peer is the address of the other side.
func (s *Stream) Peer() netip.AddrPort {
	switch {
	case s.session != nil:
		return s.session.Peer()
	case s.mux != nil:
		return s.mux.conn.Addr()
	}
	return netip.AddrPort{}
}

// streamDeadline is a stream as its timer knows it.
type streamDeadline Stream

// Expired is the stream's deadline.
func (d *streamDeadline) Expired() {
	(*Stream)(d).Reset(DeadlineExceeded, "the stream's deadline has passed")
}

// Reset ends the stream at once, at both sides, with what is under way in either
// direction. Of a client it is Canceled, usually; a server's client sees code and text.
// It does nothing once the stream is over.
func (s *Stream) Reset(code Code, text string) {
	if s.state == streamOver {
		return
	}
	why := &Error{Code: failing(uint8(code)), Message: text, MayHaveExecuted: s.session == nil || s.out.started()}
	if s.state == streamOpen && s.mux.conn.State() == packet.Connected {
		told := uint8(why.Code)
		if s.session == nil && !s.handled {
			told |= wire.NotExecuted
		}
		s.mux.tellReset(s.names, told, text)
	}
	s.over(why)
}

// tellReset tells the other side that a stream has ended. What a client has to tell is
// bounded by startStream, and what a server has by weighRefusals.
func (m *mux) tellReset(names streamNames, code uint8, text string) {
	o := m.newControl(names.lead(wire.StreamReset, 0).WithCode(code))
	o.data = []byte(wire.Sendable(text, wire.MaxReason))
	m.enqueue(o)
	m.weighRefusals()
}

// over ends s, at this side. Its User is told before the present Poll ends.
func (s *Stream) over(why *Error) {
	if s.state == streamOver {
		return
	}
	e := s.endpoint()
	if s.state == streamOpen {
		s.detach()
	} else {
		waiting := &s.session.own().waiting
		*waiting = slices.DeleteFunc(*waiting, func(o *Stream) bool { return o == s })
	}
	s.state = streamOver
	if s.deadline.IsSet() {
		e.packets.Stop(&s.deadline)
	}
	if why != nil {
		s.Err = why
	}
	s.stopSending()
	s.stopReceiving()
	e.failed = append(e.failed, parked{end: s.out.payloadEnd, stream: s})
}

// detach frees the index of s. Its use stays known.
func (s *Stream) detach() {
	if s.session != nil {
		own := s.session.streams
		own.entries[s.names.index].stream = nil
		own.free = append(own.free, s.names.index)
		return
	}
	s.served.streams[s.names.index].stream = nil
	if !s.held {
		s.uncount()
	}
}

// Hold has a served stream count as one that is open until Release, also when it has
// ended: for a handler that goes on working. Else a client that opens streams and
// resets them at once would have any number of handlers work.
func (s *Stream) Hold() { s.held = s.session == nil && s.state == streamOpen }

// Release ends a Hold.
func (s *Stream) Release() {
	if s.held {
		s.held = false
		if s.state == streamOver {
			s.uncount()
		}
	}
}

// uncount gives a served stream's place to another one.
func (s *Stream) uncount() {
	s.mux.e.servedStreams--
	s.mux.account.streaming--
	s.served.serving--
}

// streamEnded tells the user of a stream that it is over.
func (e *Endpoint) streamEnded(s *Stream) {
	e.streaming--
	if s.User != nil {
		s.User.Ended(s)
	}
}

// takeTurn has s be looked at before the present Poll ends, or in the next.
func (s *Stream) takeTurn() {
	if !s.turn {
		s.turn = true
		e := s.endpoint()
		e.turns = append(e.turns, s)
	}
}

// takeTurns tells users what has become possible. Each turn brings one message, and
// what a user asks for meanwhile has a turn of its own, so that none keeps others
// waiting.
func (e *Endpoint) takeTurns() {
	for len(e.turns) > 0 {
		s := e.turns[e.nextTurn]
		e.turns[e.nextTurn] = nil
		if e.nextTurn++; e.nextTurn > len(e.turns)/2 {
			n := copy(e.turns, e.turns[e.nextTurn:])
			clear(e.turns[n:])
			e.turns, e.nextTurn = e.turns[:n], 0
		}
		s.turn = false
		s.tellSent()
		s.receiveHeld()
	}
}

// setDeadline has s end at a time.
func (s *Stream) setDeadline(at time.Duration) {
	s.deadline = packet.NewTimer((*streamDeadline)(s))
	s.endpoint().packets.Set(&s.deadline, at)
}
