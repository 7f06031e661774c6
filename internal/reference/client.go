package reference

import (
	"net/netip"
	"slices"
	"time"
)

// Call is one request. Done is told, once, how it ended: with code 0 and the reply, or with another code and a text, and
// whether the server may have executed it.
type Call struct {
	Method  uint16
	Request []byte
	Timeout time.Duration // 0: none
	Trace   []byte        // §3.5; nil: none
	Done    func(code uint8, reply []byte, mayHaveExecuted bool)

	until time.Duration
}

// calling is a connection's one session, at the client (§8).
type calling struct {
	conn       *conn
	generation uint16
	slots      []*slot
	waiting    []*Call
	uses       map[uint16]uint16  // of streams, by index: the latest
	streams    map[uint16]*Stream // that are open
	opening    []*Stream          // that wait for an index
}

type slot struct {
	call     *Call // nil: free
	sequence uint32
	out      []*piece
	in       *assembly
}

// Client is a connection that this endpoint began.
type Client struct{ conn *conn }

// Connect begins a connection to a server.
func (e *Endpoint) Connect(to netip.AddrPort) *Client {
	c := e.newConn(to, true)
	c.helloAt, c.wait = e.now, helloWait
	e.conns = append(e.conns, c)
	return &Client{c}
}

// Call starts a call now; it waits for the connection, and for a slot.
func (k *Client) Call(now time.Duration, call *Call) {
	c := k.conn
	c.end.now = now
	if call.Timeout != 0 {
		call.until = now + call.Timeout
	}
	c.calls.waiting = append(c.calls.waiting, call)
	c.calls.start()
}

// Cancel ends a call, which is told code 1.
func (k *Client) Cancel(now time.Duration, call *Call) {
	k.conn.end.now = now
	k.conn.calls.end(call, 1)
}

// begin makes the slots that the server grants.
func (k *calling) begin(c *conn) {
	k.renew()
}

// renew opens the session, or opens it again after the server has ended it.
func (k *calling) renew() {
	k.generation++
	k.uses, k.streams = map[uint16]uint16{}, map[uint16]*Stream{}
	k.slots = make([]*slot, min(k.conn.end.cfg.Slots, k.conn.params.slots))
	for i := range k.slots {
		k.slots[i] = &slot{}
	}
	k.start()
}

// sessionEnded takes in that the server has ended the session.
func (c *conn) sessionEnded(m *message) {
	k := &c.calls
	if m.session != 0 || m.generation != k.generation {
		return
	}
	ended, open := k.slots, k.open()
	k.slots = nil
	for _, s := range ended {
		if s.call == nil {
			continue
		}
		began := slices.ContainsFunc(s.out, func(p *piece) bool { return p.began })
		give(s.out)
		s.call.Done(14, []byte("the server has ended the session"), began)
	}
	k.renew()
	for _, s := range open {
		s.finish(14, "the server has ended the session", nil)
	}
}

// start gives waiting calls what slots are free, and streams what indexes are.
func (k *calling) start() {
	k.startStreams()
	for i, s := range k.slots {
		if len(k.waiting) == 0 {
			return
		}
		if s.call != nil {
			continue
		}
		call := k.waiting[0]
		k.waiting = k.waiting[1:]
		s.call, s.in = call, nil
		if s.sequence++; s.sequence == 0 {
			s.sequence = 1
		}
		m := message{kind: kindRequest, generation: k.generation, slot: uint16(i), method: call.Method, sequence: s.sequence, trace: k.conn.traced(call.Trace)}
		s.out = cut(m, call.Request, k.conn.end.cfg.Stride)
		for _, p := range s.out {
			p.until = call.until
		}
		k.conn.queue = append(k.conn.queue, s.out...)
	}
}

func (c *conn) response(m *message) {
	k := &c.calls
	if m.session != 0 || m.generation != k.generation || int(m.slot) >= len(k.slots) {
		return
	}
	s := k.slots[m.slot]
	if s.call == nil || s.sequence != m.sequence {
		return
	}
	body := m.body
	if m.fragment != nil {
		if s.in == nil {
			s.in = newAssembly(m.fragment)
		}
		whole, ok := s.in.take(m)
		if !ok {
			return
		}
		body = whole
	}
	call := s.call
	s.call, s.in = nil, nil
	give(s.out)
	code := m.code &^ notExecuted
	executed := m.code&notExecuted == 0
	if code > 16 || code == 0 && !executed {
		code, executed = 2, true
	}
	call.Done(code, body, executed)
	k.start()
}

// expire ends the calls and streams whose time is over.
func (c *conn) expire() {
	for _, call := range c.calls.all() {
		if call.until != 0 && c.end.now >= call.until {
			c.calls.end(call, 4)
		}
	}
	for _, s := range c.openStreams() {
		if s.until != 0 && c.end.now >= s.until {
			s.Reset(4, "the stream's deadline has passed")
		}
	}
}

// expiries is when expire has something to do.
func (c *conn) expiries() (at []time.Duration) {
	for _, call := range c.calls.all() {
		if call.until != 0 {
			at = append(at, call.until)
		}
	}
	for _, s := range c.openStreams() {
		if s.until != 0 {
			at = append(at, s.until)
		}
	}
	return at
}

// all is the calls under way, and those that wait.
func (k *calling) all() []*Call {
	all := slices.Clone(k.waiting)
	for _, s := range k.slots {
		if s.call != nil {
			all = append(all, s.call)
		}
	}
	return all
}

// end ends a call at the client, and tells the server to forget it.
func (k *calling) end(call *Call, code uint8) {
	if i := slices.Index(k.waiting, call); i >= 0 {
		k.waiting = slices.Delete(k.waiting, i, i+1)
		call.Done(code, nil, false)
		return
	}
	for i, s := range k.slots {
		if s.call != call {
			continue
		}
		began := slices.ContainsFunc(s.out, func(p *piece) bool { return p.began })
		s.call, s.in = nil, nil
		give(s.out)
		if began {
			k.conn.queue = append(k.conn.queue, &piece{message: message{kind: kindCancel, generation: k.generation, slot: uint16(i), sequence: s.sequence}})
		}
		call.Done(code, nil, began)
		k.start()
		return
	}
}

// fail ends all calls with the connection.
func (k *calling) fail(code uint8, reason string) {
	for _, call := range k.all() {
		began := false
		for _, s := range k.slots {
			began = began || s.call == call && slices.ContainsFunc(s.out, func(p *piece) bool { return p.began })
		}
		call.Done(code, []byte(reason), began)
	}
	k.waiting, k.slots = nil, nil
}
