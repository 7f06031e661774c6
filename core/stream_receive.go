package core

import (
	"time"

	"github.com/peregrine-rpc/peregrine/wire"
)

// What a stream receives: messages are shown in order. What may not be shown yet,
// since another is missing or the user has not asked for it, is held; it lies within
// the window that was granted, and is a message longer at most.

// inflow is the receiving half of a stream.
type inflow struct {
	next, limit uint32 // places: of the message to show next, and before which messages may begin
	window      uint32 // how far limit is ahead of what was taken, at most
	granted     time.Duration
	grant       *sending  // a StreamWindow on its way
	held        *holdings // nil: none
	begun       bool      // something was shown
	wants       bool      // the user, a message
	closed      bool      // the client sends no more
	drains      bool      // nobody wants what comes
}

// stream takes in a message of a stream.
func (m *mux) stream(message *wire.Message) {
	s := m.streamOf(message)
	if s == nil {
		m.e.stats.RxStale++
		m.askedOfNone(message)
		return
	}
	switch message.Kind {
	case wire.StreamWindow:
		s.widen(message.Sequence)
		s.asked(message.Body)
	case wire.StreamReset:
		err := responseError(message.Code, string(message.Body))
		err.MayHaveExecuted = err.MayHaveExecuted || s.session == nil
		s.over(err)
	default:
		s.take(message)
	}
}

// streamOf returns the stream that a message names, nil if there is none any more.
func (m *mux) streamOf(message *wire.Message) *Stream {
	if !m.conn.Dialed() {
		return m.serveStream(message)
	}
	s := m.client(message.Lead())
	if s == nil || s.streams == nil || int(message.Slot) >= len(s.streams.entries) {
		return nil
	}
	if entry := &s.streams.entries[message.Slot]; entry.use == message.Method {
		return entry.stream
	}
	return nil
}

// serveStream is streamOf at the server, where the first message of a use begins a
// stream, of whatever kind it is: it may have overtaken the header.
func (m *mux) serveStream(message *wire.Message) *Stream {
	e := m.e
	session := m.serve(message.Lead())
	if session == nil || int(message.Slot) >= m.streams || message.Method == 0 {
		return nil
	}
	if grow := int(message.Slot) + 1 - len(session.streams); grow > 0 {
		// As with sessions: who does not number densely may not make tables large.
		left := 2*e.cfg.Requests + spareEntries - e.streamEntries - grow
		if left < 0 || !fair(int64(m.account.streamEntries), int64(left)) {
			m.refuseStream(message.Lead(), uint8(ResourceExhausted), "server has as many streams as it is configured for (requests)")
			return nil
		}
		e.streamEntries += grow
		m.account.streamEntries += grow
		session.streams = append(session.streams, make([]streamEntry, grow)...)
	}
	entry := &session.streams[message.Slot]
	if entry.use == message.Method {
		return entry.stream
	}
	if entry.use != 0 && int16(message.Method-entry.use) < 0 {
		return nil
	}
	if entry.stream != nil {
		entry.stream.over(&Error{Code: Canceled, Message: "the client has ended the stream"})
	}
	entry.use = message.Method
	switch {
	case message.Kind == wire.StreamReset:
		return nil
	case e.draining:
		m.refuseStream(message.Lead(), uint8(Unavailable)|wire.NotExecuted, "server is shutting down")
		return nil
	case session.serving >= 2*m.streams: // an index may be used again before its handler is done
		m.refuseStream(message.Lead(), uint8(ResourceExhausted)|wire.NotExecuted, "handlers of streams that have ended are still at work")
		return nil
	case !fair(int64(m.account.streaming), int64(e.cfg.Requests-e.servedStreams)):
		m.refuseStream(message.Lead(), uint8(ResourceExhausted)|wire.NotExecuted, "server has as many streams as it is configured for (requests)")
		return nil
	}
	s := &Stream{served: session, names: streamNames{message.Session, message.Generation, message.Slot, message.Method}}
	s.begin(m)
	session.serving++
	session.heard = e.packets.Now()
	entry.stream = s
	e.servedStreams++
	m.account.streaming++
	e.streaming++
	return s
}

// refuseStream ends a stream that no handler has seen. Without wire.NotExecuted it is
// not remembered: should its header come again, that may find room.
func (m *mux) refuseStream(lead wire.MessageLead, code uint8, text string) {
	m.e.stats.StreamsRefused++
	if lead.Kind() != wire.StreamReset {
		names := streamNames{lead.Session(), lead.Generation(), lead.Slot(), lead.Method()}
		m.tellReset(names, code, text)
	}
}

// fail ends s for what the other side has sent.
func (s *Stream) fail(code Code, text string) {
	s.mux.e.stats.StreamsRefused++
	s.Reset(code, text)
}

// take takes in a message that has a place, or a fragment of one.
func (s *Stream) take(m *wire.Message) {
	e, in := s.mux.e, &s.in
	place, length, start := m.Sequence, uint32(len(m.Body)), int64(0)
	if m.Kind == wire.StreamHeader {
		place = 0
		if s.session == nil && !s.handled {
			s.Method = uint16(m.Sequence)
			if m.Flags&wire.FlagTrace != 0 && m.Trace.IsValid() {
				s.Trace = m.Trace
			}
		}
	}
	fragment := m.Flags&wire.FlagFragment != 0
	if fragment {
		length, start = m.Total, int64(m.Index)*int64(m.Stride)
	}
	ahead := int32(place - in.next)
	switch {
	case ahead < 0 || in.closed:
		e.stats.RxStale++
		return
	case int64(ahead)+start >= int64(int32(in.limit-in.next)):
		s.fail(ResourceExhausted, "sent more than was allowed")
		return
	case int64(length) > min(e.cfg.MaxMessage, wire.MaxStreamMessage):
		s.fail(ResourceExhausted, tooLong(int(length), min(e.cfg.MaxMessage, wire.MaxStreamMessage)).Message)
		return
	}
	if ahead == 0 && !fragment && s.takes(m.Kind) && (in.held == nil || int32(in.held.live()[0].place-place-wire.StreamPlace-length) >= 0) {
		s.show(m.Kind, m.Code, timeLeft(e, m), m.Body, length)
		return
	}
	s.hold(m, place, length)
}

// timeLeft is when a header's stream ends.
func timeLeft(e *Endpoint, m *wire.Message) time.Duration {
	if m.Flags&wire.FlagDeadline == 0 {
		return 0
	}
	return e.packets.Now() + wire.DecodeTimeout(m.Deadline)
}

// takes says whether a message of a kind may be shown, if it is the next.
func (s *Stream) takes(kind wire.Kind) bool {
	first := s.session == nil && !s.handled // which has to be a header
	return s.in.wants || s.in.drains || first || kind != wire.StreamData
}

// stopReceiving gives up what is held.
func (s *Stream) stopReceiving() {
	e, in := s.endpoint(), &s.in
	if in.grant != nil {
		p := in.grant
		in.grant = nil
		e.recyclePart(p)
	}
	if l := in.held; l != nil {
		for _, h := range l.live() {
			s.mux.forget(h)
		}
		clear(l.items)
		l.items, l.first = l.items[:0], 0
		e.holdings.put(l)
		in.held = nil
	}
	if s.mux != nil {
		s.mux.widened -= int(in.window) - s.mux.e.cfg.StreamWindow
	}
}
