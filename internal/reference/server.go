package reference

import "slices"

// serving is a connection's sessions at the server (§8).
type serving struct {
	sessions map[uint16]*session
}

type session struct {
	generation uint16
	closed     bool
	slots      map[uint16]*servedSlot
	streams    map[uint16]*servedStream // by index
}

type servedSlot struct {
	sequence uint32
	in       *assembly // the request, while fragments are missing
	out      []*piece  // its response
}

// assembly is a message that arrives in fragments (§3.3).
type assembly struct {
	total  uint32
	stride uint16
	bodies map[uint32][]byte
}

// take takes in a fragment, and returns the message once it is whole.
func (a *assembly) take(m *message) (whole []byte, ok bool) {
	f := m.fragment
	if f.total != a.total || f.stride > a.stride {
		return nil, false
	}
	if f.stride < a.stride {
		a.stride, a.bodies = f.stride, map[uint32][]byte{}
	}
	a.bodies[f.index] = m.body
	for i := uint32(0); uint64(i)*uint64(a.stride) < uint64(a.total); i++ {
		body, there := a.bodies[i]
		if !there {
			return nil, false
		}
		whole = append(whole, body...)
	}
	return whole, true
}

func newAssembly(f *fragment) *assembly {
	return &assembly{total: f.total, stride: f.stride, bodies: map[uint32][]byte{}}
}

// cut makes pieces of a message.
func cut(m message, body []byte, stride uint16) (pieces []*piece) {
	if len(body) <= int(stride) {
		m.body = body
		return []*piece{{message: m}}
	}
	for at := 0; at < len(body); at += int(stride) {
		p := &piece{message: m}
		p.fragment = &fragment{total: uint32(len(body)), index: uint32(at / int(stride)), stride: stride}
		p.body = body[at:min(at+int(stride), len(body))]
		pieces = append(pieces, p)
	}
	return pieces
}

// give marks pieces as wanted no more.
func give(pieces []*piece) {
	for _, p := range pieces {
		p.done = true
	}
}

const (
	notExecuted  = 0x80
	featureTrace = 1 << 3
)

// sessionOf is the session of a message, which may open it; nil: the message is dropped.
func (c *conn) sessionOf(m *message) *session {
	s := c.server.sessions[m.session]
	switch {
	case s == nil || newer16(m.generation, s.generation):
		if s != nil {
			s.end()
		}
		s = &session{generation: m.generation, slots: map[uint16]*servedSlot{}, streams: map[uint16]*servedStream{}}
		c.server.sessions[m.session] = s
	case s.generation != m.generation || s.closed:
		return nil
	}
	return s
}

func (s *session) end() {
	for _, slot := range s.slots {
		give(slot.out)
	}
	s.slots = map[uint16]*servedSlot{}
	for _, served := range s.streams {
		if served.stream != nil {
			served.stream.finish(1, "the client has closed its session", nil)
		}
	}
}

func (c *conn) request(m *message) {
	if m.session >= c.end.params().sessions {
		c.queue = append(c.queue, c.answer(m, 8|notExecuted, nil)...) // of which nothing is remembered
		return
	}
	s := c.sessionOf(m)
	if s == nil || m.sequence == 0 || m.slot >= min(c.end.cfg.Slots, c.params.slots) {
		return
	}
	slot := s.slots[m.slot]
	switch {
	case slot == nil || newer32(m.sequence, slot.sequence):
		if slot != nil {
			give(slot.out)
		}
		slot = &servedSlot{sequence: m.sequence}
		s.slots[m.slot] = slot
		if m.fragment == nil {
			c.execute(slot, m, m.body)
			return
		}
		if m.fragment.total > c.end.cfg.MaxMessage {
			c.respond(slot, m, 8|notExecuted, []byte("too long"))
			return
		}
		slot.in = newAssembly(m.fragment)
	case slot.sequence != m.sequence:
		return
	case slot.in == nil || m.fragment == nil:
		if slot.in == nil && !slices.ContainsFunc(slot.out, func(p *piece) bool { return !p.done }) {
			c.queue = append(c.queue, c.answer(m, 15, []byte("the response is gone"))...) // it asks again (§8)
		}
		return
	}
	if whole, ok := slot.in.take(m); ok {
		slot.in = nil
		c.execute(slot, m, whole)
	}
}

func (c *conn) execute(slot *servedSlot, m *message, request []byte) {
	switch {
	case m.deadline != nil && *m.deadline == 0:
		c.respond(slot, m, 4|notExecuted, nil)
	case m.method == namesMethod:
		if number, known := c.end.cfg.Names[string(request)]; known {
			c.respond(slot, m, 0, numberOf(string(request), number))
			return
		}
		c.respond(slot, m, 12|notExecuted, []byte("no such name"))
	case c.end.cfg.Handler == nil:
		c.respond(slot, m, 12|notExecuted, []byte("no such method"))
	default:
		c.tellTrace(m.method, m.trace)
		code, reply := c.end.cfg.Handler(m.method, request)
		if uint64(len(reply)) > uint64(c.params.maxMessage) {
			code, reply = 8, []byte("the reply is too long")
		}
		c.respond(slot, m, code, reply)
	}
}

// traced is a trace, if the other side reads it.
func (c *conn) traced(trace []byte) []byte {
	if c.params.features&featureTrace == 0 {
		return nil
	}
	return trace
}

// tellTrace tells of a trace, if there is one.
func (c *conn) tellTrace(method uint16, trace []byte) {
	if trace != nil && c.end.cfg.Traced != nil {
		c.end.cfg.Traced(method, trace)
	}
}

func (c *conn) respond(slot *servedSlot, m *message, code uint8, body []byte) {
	slot.in = nil
	slot.out = c.answer(m, code, body)
	c.queue = append(c.queue, slot.out...)
}

func (c *conn) answer(m *message, code uint8, body []byte) []*piece {
	r := message{kind: kindResponse, code: code, session: m.session, generation: m.generation, slot: m.slot, sequence: m.sequence}
	return cut(r, body, c.end.cfg.Stride)
}

func (c *conn) cancelRequest(m *message) {
	s := c.sessionOf(m)
	if s == nil {
		return
	}
	slot := s.slots[m.slot]
	if slot != nil && newer32(slot.sequence, m.sequence) {
		return
	}
	if slot != nil {
		give(slot.out)
	}
	s.slots[m.slot] = &servedSlot{sequence: m.sequence}
}

func (c *conn) closeSession(m *message) {
	if s := c.sessionOf(m); s != nil {
		s.end()
		s.closed = true
	}
}
