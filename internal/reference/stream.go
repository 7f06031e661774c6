package reference

import (
	"encoding/binary"
	"slices"
	"time"
)

// placeSize is what a message takes of the places of its stream, beside its bytes (§8.1).
const placeSize = 16

// Stream is one stream, of either side. What happens is told to its functions, as far as there are any.
type Stream struct {
	// Method, Header, Timeout (0: none) and Trace (§3.5; nil: none) are the client's.
	Method  uint16
	Header  []byte
	Timeout time.Duration
	Trace   []byte

	// Opened tells a client what the server has sent at the beginning, if it did.
	Opened func(header []byte)
	// Received brings the messages, in order.
	Received func(message []byte)
	// Closed tells a server that the client sends no more.
	Closed func()
	// Ended is last: what the server said in the end, or the reset, or why else. A server is told code 0 when the client
	// knows what it said.
	Ended func(code uint8, text string, trailer []byte)

	conn                           *conn
	session, generation, index     uint16
	use                            uint16 // 0: the client has not opened it yet
	until                          time.Duration
	handled, begun, closing, ended bool // a handler has it; something was shown; no more is sent; it is over

	next, limit uint32   // places: of the next message to send, and before which that may be
	blocked     []*piece // what waits for the limit, in order
	out         []*piece // what was let out
	window      *piece   // the latest StreamWindow

	want, granted uint32 // places: of the message to show next, and the limit that was said
	parts         map[uint32]*part
}

// part is a message that has come, or of which fragments have.
type part struct {
	kind, code uint8
	sequence   uint32
	length     uint32
	in         *assembly // nil: it is whole
	body       []byte
}

// servedStream is what a server knows of a stream's index.
type servedStream struct {
	use    uint16
	stream *Stream // nil: it is over
}

// streams is how many a session may have (§6).
func (c *conn) streams() uint16 { return min(c.end.cfg.Streams, c.params.streams) }

// Open begins a stream now; it waits for the connection, and for an index.
func (k *Client) Open(now time.Duration, s *Stream) {
	c := k.conn
	c.end.now = now
	s.conn, s.parts = c, map[uint32]*part{}
	if s.Timeout != 0 {
		s.until = now + s.Timeout
	}
	s.send(message{kind: kindStreamHeader, sequence: uint32(s.Method)}, s.Header)
	c.calls.opening = append(c.calls.opening, s)
	c.calls.startStreams()
}

// startStreams gives streams that wait what indexes are free.
func (k *calling) startStreams() {
	if !k.conn.ready {
		return
	}
	for index := uint16(0); index < k.conn.streams() && len(k.opening) > 0; index++ {
		if k.streams[index] != nil {
			continue
		}
		if k.uses[index]++; k.uses[index] == 0 {
			k.uses[index] = 1
		}
		s := k.opening[0]
		k.opening = k.opening[1:]
		s.generation, s.index, s.use = k.generation, index, k.uses[index]
		k.streams[index] = s
		s.begin()
	}
}

// begin knows what either side may send at first.
func (s *Stream) begin() {
	s.limit, s.granted = 1024*uint32(s.conn.params.streamWindow), 1024*uint32(s.conn.end.cfg.StreamWindow)
	s.proceed()
}

// open is the client's streams that have begun.
func (k *calling) open() (all []*Stream) {
	for index := range k.conn.streams() {
		if s := k.streams[index]; s != nil {
			all = append(all, s)
		}
	}
	return all
}

// openStreams is the streams of either side that are not over.
func (c *conn) openStreams() []*Stream {
	all := append(c.calls.open(), c.calls.opening...)
	for session := range c.end.params().sessions {
		if served := c.server.sessions[session]; served != nil {
			for index := range c.streams() {
				if e := served.streams[index]; e != nil && e.stream != nil {
					all = append(all, e.stream)
				}
			}
		}
	}
	return all
}

// Send sends a message.
func (s *Stream) Send(body []byte) { s.send(message{kind: kindStreamData}, body) }

// SendHeader is what a server may send first.
func (s *Stream) SendHeader(body []byte) { s.send(message{kind: kindStreamHeader}, body) }

// Close is a client's end: it sends no more.
func (s *Stream) Close() {
	s.send(message{kind: kindStreamEnd}, nil)
	s.closing = true
}

// End is a server's end, behind what it has sent.
func (s *Stream) End(code uint8, text string, trailer []byte) {
	var body []byte
	if len(text)+len(trailer) > 0 {
		body = slices.Concat(le16(uint16(len(text))), []byte(text), trailer)
	}
	s.send(message{kind: kindStreamEnd, code: code}, body)
	s.closing = true
}

// send gives a message its place; of a header the sequence is something else.
func (s *Stream) send(m message, body []byte) {
	if s.ended || s.closing {
		return
	}
	if m.kind != kindStreamHeader {
		m.sequence = s.next
	}
	for i, p := range cut(m, body, s.conn.end.cfg.Stride) {
		p.place = s.next + uint32(i)*uint32(s.conn.end.cfg.Stride)
		if m.kind == kindStreamHeader {
			p.until = s.until
		}
		s.blocked = append(s.blocked, p)
	}
	s.next += placeSize + uint32(len(body))
	s.proceed()
}

// proceed lets out what may be sent.
func (s *Stream) proceed() {
	for len(s.blocked) > 0 && newer32(s.limit, s.blocked[0].place) {
		if s.conn.client && s.blocked[0].kind == kindStreamHeader {
			s.blocked[0].trace = s.conn.traced(s.Trace)
		}
		s.out = append(s.out, s.say(s.blocked[0]))
		s.blocked = s.blocked[1:]
	}
}

// say queues a piece under the stream's name.
func (s *Stream) say(p *piece) *piece {
	p.session, p.generation, p.slot, p.method = s.session, s.generation, s.index, s.use
	s.conn.queue = append(s.conn.queue, p)
	return p
}

// Reset ends the stream at once, at both sides.
func (s *Stream) Reset(code uint8, text string) {
	if s.ended {
		return
	}
	if s.use != 0 {
		told := code
		if !s.conn.client && !s.handled {
			told |= notExecuted
		}
		s.say(&piece{message: message{kind: kindStreamReset, code: told, body: []byte(text)}})
	}
	s.finish(code, text, nil)
}

// finish forgets the stream, but for its use.
func (s *Stream) finish(code uint8, text string, trailer []byte) {
	if s.ended {
		return
	}
	s.ended = true
	give(s.out)
	if s.window != nil {
		s.window.done = true
	}
	s.blocked, s.out, s.parts = nil, nil, nil
	if k := &s.conn.calls; s.conn.client {
		if k.streams[s.index] == s {
			delete(k.streams, s.index)
		}
		k.opening = slices.DeleteFunc(k.opening, func(o *Stream) bool { return o == s })
	} else {
		s.conn.server.sessions[s.session].streams[s.index].stream = nil
	}
	if s.Ended != nil {
		s.Ended(code, text, trailer)
	}
	s.conn.calls.startStreams()
}

// settleStreams ends what a server has ended and its client knows of.
func (c *conn) settleStreams() {
	if c.client {
		return
	}
	for _, s := range c.openStreams() {
		if s.closing && len(s.blocked) == 0 && !slices.ContainsFunc(s.out, func(p *piece) bool { return !p.done }) {
			s.finish(0, "", nil)
		}
	}
}

// stream takes in a message of a stream.
func (c *conn) stream(m *message) {
	s := c.streamOf(m)
	switch asked := m.kind == kindStreamWindow && len(m.body) == 4; {
	case s == nil && asked:
		code := uint8(15)
		if c.client {
			code = 1
		}
		c.refuseStream(m, code, "there is no such stream")
	case s == nil:
	case m.kind == kindStreamWindow:
		if newer32(m.sequence, s.limit) {
			s.limit = m.sequence
			s.proceed()
		}
		if asked && newer32(binary.LittleEndian.Uint32(m.body), s.want) {
			s.Reset(15, "something was damaged on its way")
		}
	case m.kind == kindStreamReset:
		s.finish(m.code&^notExecuted, string(m.body), nil)
	default:
		s.take(m)
	}
}

// refuseStream answers for a stream that is not there.
func (c *conn) refuseStream(m *message, code uint8, text string) {
	r := message{kind: kindStreamReset, code: code, session: m.session, generation: m.generation, slot: m.slot, method: m.method, body: []byte(text)}
	c.queue = append(c.queue, &piece{message: r})
}

// streamOf is the stream of a message, which begins one at a server; nil: there is none.
func (c *conn) streamOf(m *message) *Stream {
	if c.client {
		s := c.calls.streams[m.slot]
		if m.session != 0 || s == nil || s.generation != m.generation || s.use != m.method {
			return nil
		}
		return s
	}
	if m.session >= c.end.params().sessions {
		if m.kind <= kindStreamEnd {
			c.refuseStream(m, 8, "there are no more sessions")
		}
		return nil
	}
	session := c.sessionOf(m)
	if session == nil || m.slot >= c.streams() || m.method == 0 {
		return nil
	}
	served := session.streams[m.slot]
	switch {
	case served == nil:
		served = &servedStream{}
		session.streams[m.slot] = served
	case served.use == m.method:
		return served.stream
	case !newer16(m.method, served.use):
		return nil
	case served.stream != nil:
		served.stream.finish(1, "the client uses its index for another one", nil)
	}
	s := &Stream{conn: c, session: m.session, generation: m.generation, index: m.slot, use: m.method, parts: map[uint32]*part{}}
	served.use, served.stream = m.method, s
	s.begin()
	return s
}

// take takes in a message with a place, or a fragment of one.
func (s *Stream) take(m *message) {
	place, at, length := m.sequence, uint32(0), uint32(len(m.body))
	if m.kind == kindStreamHeader {
		place = 0
	}
	if f := m.fragment; f != nil {
		at, length = f.index*uint32(f.stride), f.total
	}
	if newer32(s.want, place) {
		return // it was shown
	}
	if !newer32(s.granted, place+at) {
		s.Reset(8, "a message beyond the limit")
		return
	}
	p := s.parts[place]
	if p == nil {
		switch end := place + placeSize + length; {
		case length > min(s.conn.end.cfg.MaxMessage, 1<<30):
			s.Reset(8, "a message that is too long")
			return
		case s.overlaps(place, end):
			s.Reset(13, "a message that overlaps with another")
			return
		}
		p = &part{kind: m.kind, code: m.code, sequence: m.sequence, length: length, body: m.body}
		if m.fragment != nil {
			p.in = newAssembly(m.fragment)
		}
		s.parts[place] = p
		if m.kind == kindStreamHeader && !s.conn.client {
			s.Trace = m.trace
		}
		if m.kind == kindStreamHeader && m.deadline != nil && !s.conn.client {
			s.until = s.conn.end.now + deadlineOf(*m.deadline)
		}
	}
	if p.in != nil {
		if m.fragment == nil {
			return
		}
		if whole, ok := p.in.take(m); ok {
			p.in, p.body = nil, whole
		}
	}
	s.advance()
}

// overlaps says whether a message from a place to another one shares any with one that has come.
func (s *Stream) overlaps(place, end uint32) bool {
	for other, p := range s.parts {
		if newer32(end, other) && newer32(other+placeSize+p.length, place) {
			return true
		}
	}
	return false
}

// advance shows what is in order, and grants.
func (s *Stream) advance() {
	for !s.ended {
		p := s.parts[s.want]
		if p == nil || p.in != nil {
			break
		}
		delete(s.parts, s.want)
		s.want += placeSize + p.length
		s.show(p)
	}
	if s.ended {
		return
	}
	size := 1024 * uint32(s.conn.end.cfg.StreamWindow)
	limit := s.want + size
	if p := s.parts[s.want]; p != nil {
		for _, body := range p.in.bodies {
			limit += uint32(len(body))
		}
	}
	if newer32(limit, s.granted) && limit-s.granted >= size/2 {
		s.granted = limit
		if s.window != nil {
			s.window.done = true // what it says is no news any more
		}
		s.window = s.say(&piece{message: message{kind: kindStreamWindow, sequence: limit}})
	}
}

// show hands on a message whose turn it is.
func (s *Stream) show(p *part) {
	first := !s.begun
	s.begun = true
	switch {
	case p.kind == kindStreamHeader && !first, first && !s.conn.client && p.kind != kindStreamHeader:
		s.Reset(13, "a header is the first message of a client, and no other is")
	case p.kind == kindStreamHeader && s.conn.client:
		if s.Opened != nil {
			s.Opened(p.body)
		}
	case p.kind == kindStreamHeader:
		s.Method, s.Header = uint16(p.sequence), p.body
		s.conn.tellTrace(s.Method, s.Trace)
		if s.conn.end.cfg.Stream == nil || !s.conn.end.cfg.Stream(s) {
			s.Reset(12, "no such method")
			return
		}
		s.handled = true
	case p.kind == kindStreamEnd && s.conn.client:
		s.theEnd(p)
	case s.closing && !s.conn.client: // a server that has ended it wants nothing more
	case p.kind == kindStreamEnd:
		if s.Closed != nil {
			s.Closed()
		}
	case s.Received != nil:
		s.Received(p.body)
	}
}

// theEnd is what the server says in the end.
func (s *Stream) theEnd(p *part) {
	text, trailer := "", []byte(nil)
	if b := p.body; len(b) > 0 {
		if len(b) < 2 || len(b)-2 < int(binary.LittleEndian.Uint16(b)) {
			s.finish(13, "the end of the stream does not decode", nil)
			return
		}
		n := 2 + int(binary.LittleEndian.Uint16(b))
		text, trailer = string(b[2:n]), b[n:]
	}
	code := p.code
	if code > 16 {
		code = 2
	}
	s.finish(code, text, trailer)
}
