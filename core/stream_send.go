package core

import (
	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// What a stream sends: each message is an outgoing, and travels as requests do. A
// message may begin once its place is before the limit that the other side grants,
// and so may each fragment.

// sendCopy is the longest message of a stream that is copied: longer ones are lent.
const sendCopy = 16 << 10

// outflow is the sending half of a stream.
type outflow struct {
	next, limit uint32 // places: of the next message, and before which messages may begin
	queued      int    // bytes of what is not acknowledged, but for what is lent
	// What is not acknowledged, in order; from blocked on it has to wait for the limit.
	oldest, newest, blocked *sending
	cut                     *sending // of which only the beginning may be sent so far
	lent                    int      // messages that are the user's memory
	waits                   bool     // the user, for Sent
	headed                  bool     // something was sent: a header would be late
	payloadEnd              uint64   // what must pass before the transport no longer reads what was lent
	ended                   bool     // nothing is sent any more
}

// sending is a message of a stream on its way.
type sending struct {
	outgoing
	stream       *Stream
	older, newer *sending
	kind         wire.Kind
	code         uint8
	lent         bool
	place        uint32
	sequence     uint32 // in its header
	copied       []byte
}

// started says whether anything went out.
func (o *outflow) started() bool {
	for p := o.oldest; p != nil; p = p.newer {
		if p.started {
			return true
		}
	}
	return o.oldest == nil || o.oldest.kind != wire.StreamHeader // that has arrived
}

// maxMessage is the longest message that may be sent.
func (s *Stream) maxMessage() int {
	if s.state != streamOpen {
		return wire.MaxStreamMessage
	}
	return int(min(s.mux.maxMessage, wire.MaxStreamMessage))
}

// Room is the longest message that travels in one datagram; 0: that is not known yet.
func (s *Stream) Room() int {
	if s.state != streamOpen {
		return 0
	}
	return min(s.mux.singleLimit(), s.maxMessage())
}

// Writable says whether anybody would receive what is sent: neither this side has
// said that it sends no more, nor has the other ended the stream.
func (s *Stream) Writable() bool { return s.state != streamOver && !s.out.ended }

// Send sends a message. If it returns true it has copied data, and may be called
// again. Otherwise data must not change, and Send not be called, before Sent or
// Ended. What is not Writable, it does nothing. A message that is longer than the
// other side takes is not sent, and an error.
func (s *Stream) Send(data []byte) (more bool, err error) {
	switch {
	case !s.Writable():
		return true, nil
	case s.out.waits:
		panic("peregrine: a Stream's Send was called before its Sent")
	case len(data) > s.maxMessage():
		return true, tooLong(len(data), int64(s.maxMessage()))
	}
	s.put(wire.StreamData, data)
	s.proceed()
	s.out.waits = !s.roomy()
	return !s.out.waits, nil
}

// SendHeader sends what the client is told at the beginning. It is a server's, and
// comes before all messages, or does nothing. header is copied.
func (s *Stream) SendHeader(header []byte) error {
	if s.session != nil || !s.Writable() || s.out.headed {
		return nil
	}
	if len(header) > s.maxMessage() {
		return tooLong(len(header), int64(s.maxMessage()))
	}
	s.putOwn(wire.StreamHeader, append([]byte(nil), header...))
	s.proceed()
	return nil
}

// CloseSend says that a client sends no more messages. It still receives.
func (s *Stream) CloseSend() {
	if s.session != nil && s.Writable() {
		s.putOwn(wire.StreamEnd, nil)
		s.out.ended = true
		s.proceed()
	}
}

// End ends a served stream, behind all that was sent: OK, or a code and what went
// wrong. trailer is copied. What the client still sends is dropped.
func (s *Stream) End(code Code, text string, trailer []byte) {
	if s.session != nil || !s.Writable() {
		return
	}
	text = wire.Sendable(text, 1<<16-1)
	if most := s.maxMessage(); wire.EndSize(text, trailer) > most {
		code, text, trailer = ResourceExhausted, tooLong(wire.EndSize(text, trailer), int64(most)).Message, nil
	}
	var body []byte
	if len(text)+len(trailer) > 0 {
		body = make([]byte, wire.EndSize(text, trailer))
		wire.PutEnd(body, text, trailer)
	}
	p := s.putOwn(wire.StreamEnd, body)
	if code != OK {
		p.code = uint8(failing(uint8(code)))
	}
	s.out.ended = true
	s.in.drains = true
	s.proceed()
	s.takeTurn() // for what is held
}

// put makes data the next message: copied, or lent if it is long.
func (s *Stream) put(kind wire.Kind, data []byte) *sending {
	p := s.message(kind)
	p.lent = len(data) > sendCopy
	if p.lent {
		s.out.lent++
		p.data = data
	} else {
		p.copied = append(p.copied[:0], data...)
		p.data = p.copied
	}
	s.append(p)
	return p
}

// putOwn makes data, which nobody else has, the next message.
func (s *Stream) putOwn(kind wire.Kind, data []byte) *sending {
	p := s.message(kind)
	p.data = data
	s.append(p)
	return p
}

func (s *Stream) message(kind wire.Kind) *sending {
	e := s.endpoint()
	p := e.sendings.get()
	e.begin(&p.outgoing)
	p.part, p.stream = p, s
	p.kind, p.code, p.sequence = kind, 0, s.out.next
	if kind == wire.StreamHeader {
		p.sequence = 0
		if s.session != nil {
			p.sequence = uint32(s.Method)
		}
	}
	s.out.headed = true
	return p
}

// append has p be sent after all others.
func (s *Stream) append(p *sending) {
	o := &s.out
	p.place = o.next
	o.next += wire.StreamPlace + uint32(len(p.data))
	if !p.lent {
		o.queued += len(p.data)
	}
	p.older, p.newer = o.newest, nil
	if o.newest == nil {
		o.oldest = p
	} else {
		o.newest.newer = p
	}
	o.newest = p
	if o.blocked == nil {
		o.blocked = p
	}
}

// proceed queues what the limit allows.
func (s *Stream) proceed() {
	o := &s.out
	if s.state != streamOpen {
		return
	}
	if p := o.cut; p != nil {
		if p.stride != 0 {
			if p.open(); p.queue == nil && p.outgoing.cut < p.allowed {
				s.mux.bulk.push(&p.outgoing)
				s.mux.conn.Touch()
			}
		}
		if p.within(o.limit) {
			o.cut = nil
		}
	}
	for p := o.blocked; p != nil && int32(o.limit-p.place) > 0; p = p.newer {
		o.blocked = p.newer
		if !p.within(o.limit) {
			o.cut = p
		}
		p.lead = s.names.lead(p.kind, p.sequence).WithCode(p.code)
		if p.kind == wire.StreamHeader && s.session != nil && s.deadline.IsSet() && s.deadline.At()-s.mux.e.packets.Now() <= wire.MaxTimeout {
			p.expire(s.deadline.At())
		}
		if p.kind == wire.StreamHeader && s.session != nil && s.mux.traces && s.Trace.IsValid() {
			p.flags |= wire.FlagTrace
			p.trace = &s.Trace
		}
		if !p.lent {
			s.mux.queued += len(p.data)
		}
		s.mux.enqueue(&p.outgoing)
	}
}

// within says whether all of p is before a limit.
func (p *sending) within(limit uint32) bool { return int32(limit-p.place)-int32(len(p.data)) >= 0 }

// open lets those fragments of p go that begin before the limit.
func (p *sending) open() {
	room := int(p.stream.out.limit - p.place)
	p.allowed = min(p.fragments, (room+int(p.stride)-1)/int(p.stride))
}

// widen takes in that messages may begin before a place.
func (s *Stream) widen(limit uint32) {
	if int32(limit-s.out.limit) <= 0 {
		return // a grant that was overtaken
	}
	s.out.limit = limit
	s.proceed()
	s.takeTurn()
}

// roomy says whether there is room for another message. What a stream has under way
// is bounded by the other side's window, and by what this side would grant, should
// the other grant without measure.
func (s *Stream) roomy() bool {
	o := &s.out
	switch {
	case o.lent > 0:
		return false
	case o.ended:
		return true
	case s.state != streamOpen || o.blocked != nil:
		return false
	}
	cfg := &s.mux.e.cfg
	return o.queued < cfg.StreamWindow || int64(s.mux.queued) < cfg.StreamMemory
}

// tellSent tells the user that Send may be called again.
func (s *Stream) tellSent() {
	if s.out.waits && s.state != streamOver && s.roomy() {
		s.out.waits = false
		s.User.Sent(s)
	}
}

// partArrived takes in that the other side has a message.
func (e *Endpoint) partArrived(p *sending) {
	s := p.stream
	if p.kind == wire.StreamWindow {
		s.in.grant = nil
		e.recyclePart(p)
		return
	}
	o := &s.out
	if p.older == nil {
		o.oldest = p.newer
	} else {
		p.older.newer = p.newer
	}
	if p.newer == nil {
		o.newest = p.older
	} else {
		p.newer.older = p.older
	}
	if o.cut == p {
		o.cut = nil
	}
	if !p.lent {
		o.queued -= len(p.data)
		s.mux.queued -= len(p.data)
	}
	e.freePart(p)
	if s.session == nil && o.ended && o.oldest == nil {
		s.over(nil) // the client knows how it ended
		return
	}
	if o.waits {
		s.takeTurn()
	}
}

// void has p not be sent any more, and datagrams that held it mean nothing.
func (s *Stream) void(p *sending) {
	if s.mux != nil {
		s.mux.void(&p.outgoing)
	}
}

// freePart recycles p once the transport no longer reads it.
func (e *Endpoint) freePart(p *sending) {
	p.stream.void(p)
	if p.lent {
		p.stream.out.payloadEnd = max(p.stream.out.payloadEnd, p.payloadEnd)
	}
	if p.payloadEnd > 0 && e.tr.Completed() < p.payloadEnd {
		e.parked = append(e.parked, parked{end: p.payloadEnd, part: p})
		return
	}
	e.recyclePart(p)
}

func (e *Endpoint) recyclePart(p *sending) {
	p.stream.void(p)
	if s := p.stream; p.lent {
		p.lent = false
		s.out.lent--
		if s.state != streamOver {
			s.takeTurn()
		}
	}
	p.data, p.trace, p.stream, p.older, p.newer = nil, nil, nil, nil, nil
	e.sendings.put(p)
	if len(e.sendings.free) > few {
		e.tidySoon()
	}
}

// stopSending gives up what is not acknowledged.
func (s *Stream) stopSending() {
	e, o := s.endpoint(), &s.out
	o.ended = true
	unsent := o.blocked
	o.blocked, o.cut = nil, nil
	queued := true
	for p := o.oldest; p != nil; {
		next := p.newer
		queued = queued && p != unsent
		if !p.lent {
			o.queued -= len(p.data)
			if queued {
				s.mux.queued -= len(p.data)
			}
		}
		e.freePart(p)
		p = next
	}
	o.oldest, o.newest = nil, nil
	if s.state != streamOver && o.waits {
		s.takeTurn()
	}
}

// grantWindow tells the other side of a new limit, in place of what it was told
// before and may not have heard.
func (s *Stream) grantWindow() {
	if s.mux.conn.State() != packet.Connected {
		return
	}
	if s.in.grant == nil {
		s.in.grant = s.window()
	}
	p := s.in.grant
	p.lead = s.names.lead(wire.StreamWindow, s.in.limit)
	if !p.waits {
		s.mux.e.begin(&p.outgoing)
		s.mux.enqueue(&p.outgoing)
	}
}

// window is a StreamWindow that says nothing yet.
func (s *Stream) window() *sending {
	p := s.mux.e.sendings.get()
	p.part, p.stream, p.kind, p.data = p, s, wire.StreamWindow, nil
	return p
}
