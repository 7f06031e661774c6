package core

import (
	"bytes"
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/wire"
)

// What a stream receives: messages are shown in order. What may not be shown yet,
// since another is missing or the user has not asked for it, is held; it lies within
// the window that was granted, and is a message longer at most.

const (
	// maxStreamWindow bounds the window of a stream that is read as fast as it comes.
	maxStreamWindow = 4 << 20
	// slowStream is how long half a window lasts where it is far too large.
	slowStream = time.Second
	// heldSmall is the longest message that is held in memory of its own.
	heldSmall = 1 << 10
)

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

// holdings are messages that are held, by place.
type holdings struct {
	items []*held
	first int // of items
}

// held is a message, or what has come of it.
type held struct {
	place    uint32
	arrived  uint32 // bytes
	length   uint32
	kind     wire.Kind
	code     uint8
	deadline time.Duration
	data     []byte
	small    []byte    // memory of a short one, if it is not of the endpoint's buffers
	shared   bool      // it is of those
	bitmap   int64     // bytes for in
	in       *assembly // of one in fragments that is not complete
}

// end is the place behind h.
func (h *held) end() uint32 { return h.place + wire.StreamPlace + h.length }

func (l *holdings) live() []*held { return l.items[l.first:] }

// find returns where among the live a message of a place is, or would be.
func (l *holdings) find(place uint32) (at int, found bool) {
	return slices.BinarySearchFunc(l.live(), place, func(h *held, place uint32) int { return int(int32(h.place - place)) })
}

func (l *holdings) pop() *held {
	h := l.items[l.first]
	l.items[l.first] = nil
	if l.first++; l.first > len(l.items)/2 {
		n := copy(l.items, l.items[l.first:])
		clear(l.items[n:])
		l.items, l.first = l.items[:n], 0
	}
	return h
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
		if s.session == nil {
			s.Method = uint16(m.Sequence)
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

// hold keeps a message, or a fragment of one, until it may be shown.
func (s *Stream) hold(m *wire.Message, place, length uint32) {
	e, in := s.mux.e, &s.in
	if in.held == nil {
		in.held = e.holdings.get()
	}
	at, found := in.held.find(place)
	live := in.held.live()
	switch {
	case found && live[at].in == nil:
		e.stats.RxStale++
		return
	case !found:
		if at > 0 && int32(live[at-1].end()-place) > 0 || at < len(live) && int32(place+wire.StreamPlace+length-live[at].place) > 0 {
			s.fail(Internal, "sent messages that overlap")
			return
		}
		h := s.keep(m, place, length)
		if h == nil {
			s.fail(ResourceExhausted, noMemory)
			return
		}
		in.held.items = slices.Insert(in.held.items, in.held.first+at, h)
	}
	h := in.held.live()[at]
	if h.in != nil && !s.add(h, m) {
		s.fail(ResourceExhausted, noMemory)
		return
	}
	if h.in == nil && h.kind == wire.StreamEnd && s.session != nil {
		s.stopSending() // the server takes no more, whether or not its end may be shown
	}
	s.grantMore()
	s.lookAhead()
}

// keep makes memory for a message; nil: there is none.
func (s *Stream) keep(m *wire.Message, place, length uint32) *held {
	e := s.mux.e
	h := e.helds.get()
	h.place, h.length, h.kind, h.code, h.deadline = place, length, m.Kind, m.Code, timeLeft(e, m)
	h.arrived, h.bitmap = 0, 0
	fragment := m.Flags&wire.FlagFragment != 0
	h.shared = fragment || length > heldSmall
	switch {
	case fragment:
		h.in = e.assemblies.get()
		h.in.restart(int(m.Stride), int(length))
		h.bitmap = int64(length / wire.MinFragment / 8)
		e.buffers.maps += h.bitmap
		s.mux.charge(h.bitmap)
	case h.shared:
		if !s.mux.growHeld(h, int(length)) {
			e.helds.put(h)
			return nil
		}
		copy(h.data, m.Body)
	default:
		if !s.mux.affords(int64(length)) {
			e.helds.put(h)
			return nil
		}
		e.buffers.copies += int64(length)
		s.mux.charge(int64(length))
		h.small = append(h.small[:0], m.Body...)
		h.data = h.small
	}
	return h
}

// affords says whether there is memory for n bytes, if others give up what is
// arriving who have more.
func (m *mux) affords(n int64) bool {
	for {
		if left := m.e.buffers.room() - n; left >= 0 && fair(m.account.memory, left) {
			return true
		}
		if !m.yield(int(n)) {
			return false
		}
	}
}

// growHeld gives a message n bytes of memory, with what it had in the former.
func (m *mux) growHeld(h *held, n int) bool {
	for {
		if fair(m.account.memory, m.e.buffers.room()) {
			if buf := m.e.regrow(h.data, n); buf != nil {
				m.charge(int64(cap(buf) - cap(h.data)))
				h.data = buf
				return true
			}
		}
		if !m.yield(n - len(h.data)) {
			return false
		}
	}
}

// add takes in a fragment; false: there is no memory. The message has memory as far
// as its fragments have come, and four times as much at most.
func (s *Stream) add(h *held, m *wire.Message) bool {
	in := h.in
	if m.Total != h.length || int(m.Stride) > in.stride {
		return true // of another message, or of a cut of before
	}
	if int(m.Stride) < in.stride {
		in.restart(int(m.Stride), int(h.length))
		h.arrived = 0
	}
	at := int(m.Index) * in.stride
	if end := at + len(m.Body); end > len(h.data) {
		if !s.mux.growHeld(h, min(int(h.length), max(end, growth*len(h.data)))) {
			return false
		}
	}
	if in.note(m) {
		copy(h.data[at:], m.Body)
		h.arrived += uint32(len(m.Body))
	}
	if in.missing == 0 {
		s.mux.assembled(h)
	}
	return true
}

// assembled gives back what only a message that is not complete needs.
func (m *mux) assembled(h *held) {
	m.e.recycleAssembly(&h.in)
	m.e.buffers.maps -= h.bitmap
	m.charge(-h.bitmap)
}

// forget recycles a message that was held.
func (m *mux) forget(h *held) {
	e := m.e
	if h.in != nil {
		m.assembled(h)
	}
	switch {
	case !h.shared:
		e.buffers.copies -= int64(len(h.data))
		m.charge(-int64(len(h.data)))
	case h.data != nil:
		m.charge(-int64(cap(h.data)))
		e.buffers.put(h.data)
	}
	h.data = nil
	e.helds.put(h)
	if len(e.helds.free) > few {
		e.tidySoon()
	}
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

// Receive asks for the next message. It brings none before the present Poll ends, but
// may do so in it.
func (s *Stream) Receive() {
	if s.state == streamOver {
		return
	}
	s.in.wants = true
	s.lookAhead()
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

// grantMore grants more, if enough was taken that it is worth a message. A stream that
// is read as fast as it comes has its window doubled, as long as the connection's
// streams have memory for it, and halved again when it is read slowly.
func (s *Stream) grantMore() {
	in := &s.in
	if s.state != streamOpen || in.closed {
		return
	}
	base := in.next
	if in.held != nil {
		if h := in.held.live()[0]; h.place == base && h.in != nil {
			base += h.arrived
		}
	}
	limit := base + in.window
	if int32(limit-in.limit) < int32(in.window/2) {
		return
	}
	m := s.mux
	now := m.e.packets.Now()
	switch pause := now - in.granted; {
	case pause < 2*m.conn.RTT() && in.window < maxStreamWindow && int64(m.widened)+int64(in.window) <= m.e.cfg.StreamMemory:
		m.widened += int(in.window)
		in.window *= 2
	case pause > slowStream && int(in.window) > m.e.cfg.StreamWindow:
		in.window /= 2 // of which at least as much was taken
		m.widened -= int(in.window)
	}
	in.granted = now
	if limit = base + in.window; limit != in.limit {
		in.limit = limit
		s.grantWindow()
	}
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
