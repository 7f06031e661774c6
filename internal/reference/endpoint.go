package reference

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Config is what an endpoint says and does; zero fields have defaults.
type Config struct {
	// Seed decides indexes, tokens and cookies.
	Seed uint64
	// Checksum asks for checksums.
	Checksum bool
	// Credits, Slots and MaxMessage are those of the params, AckDelay and Silence too.
	Credits, Slots uint16
	MaxMessage     uint32
	AckDelay       time.Duration
	Silence        time.Duration
	// Stride is the size of the pieces that long messages are cut into, 512 to 1000 bytes.
	Stride uint16
	// Handler answers requests: with a code and a reply. Without it there is no method.
	Handler func(method uint16, request []byte) (code uint8, reply []byte)
	// Streams is how many are taken in a session, each with so many KiB of window; 0: none.
	Streams, StreamWindow uint16
	// Stream takes in a stream that a client has opened, and says who is told what happens. False: there is no such method.
	Stream func(s *Stream) bool
	// Traced is told the trace of each request and stream that has one; nil: this endpoint says that it does not read them.
	Traced func(method uint16, trace []byte)
	// Names are methods' names, and their numbers.
	Names map[string]uint16
}

// Packet is a datagram to send, with its mark of ECN.
type Packet struct {
	To   netip.AddrPort
	ECN  uint8
	Data []byte
}

// Endpoint is a client and a server. One goroutine uses it.
type Endpoint struct {
	cfg    Config
	random *rand.Rand
	now    time.Duration
	conns  []*conn
	out    []Packet
	secret uint64
}

// New makes an endpoint.
func New(cfg Config) *Endpoint {
	def := func(v *uint16, d uint16) {
		if *v == 0 {
			*v = d
		}
	}
	def(&cfg.Credits, 64)
	def(&cfg.Slots, 16)
	def(&cfg.Stride, 1000)
	def(&cfg.StreamWindow, 4)
	if cfg.MaxMessage == 0 {
		cfg.MaxMessage = 1 << 24
	}
	if cfg.AckDelay == 0 {
		cfg.AckDelay = time.Millisecond
	}
	if cfg.Silence == 0 {
		cfg.Silence = 3 * time.Second
	}
	e := &Endpoint{cfg: cfg, random: rand.New(rand.NewPCG(cfg.Seed, 1))}
	e.secret = e.random.Uint64()
	return e
}

func (e *Endpoint) params() params {
	p := params{
		maxDatagram: 1500, credits: e.cfg.Credits, slots: e.cfg.Slots, sessions: 100, ackDelay: uint16(e.cfg.AckDelay / time.Microsecond),
		maxMessage: e.cfg.MaxMessage, silence: uint32(e.cfg.Silence / time.Millisecond),
	}
	if e.cfg.Streams > 0 {
		p.streams, p.streamWindow = e.cfg.Streams, e.cfg.StreamWindow
	}
	if e.cfg.Checksum {
		p.features = 1
	}
	if e.cfg.Traced != nil {
		p.features |= featureTrace
	}
	return p
}

// index is one that no connection has.
func (e *Endpoint) index() uint32 {
	for {
		index := e.random.Uint32() % 1000
		if !slices.ContainsFunc(e.conns, func(c *conn) bool { return c.mine.connection == index }) {
			return index
		}
	}
}

func (e *Endpoint) send(to netip.AddrPort, ecn uint8, data []byte) {
	e.out = append(e.out, Packet{to, ecn, data})
}

// Out is what is to be sent by now, in order.
func (e *Endpoint) Out(now time.Duration) []Packet {
	e.now = now
	for _, c := range slices.Clone(e.conns) {
		c.timers()
		c.flush()
	}
	out := e.out
	e.out = nil
	return out
}

// Deadline is when Out has to be called at the latest; ok is false if only a datagram gives it anything to send.
func (e *Endpoint) Deadline() (at time.Duration, ok bool) {
	for _, c := range e.conns {
		if t, is := c.deadline(); is && (!ok || t < at) {
			at, ok = t, true
		}
	}
	return at, ok
}

// find is the connection that a header addresses.
func (e *Endpoint) find(d *datagram) *conn {
	for _, c := range e.conns {
		if c.mine.connection == d.connection && c.mine.token == d.token {
			return c
		}
	}
	return nil
}

// Take takes in a datagram.
func (e *Endpoint) Take(now time.Duration, from netip.AddrPort, ecn uint8, data []byte) {
	e.now = now
	d, err := decode(data)
	switch {
	case d == nil:
		return
	case err == errVersion && d.kind == typeHello:
		if g, err := decodeGreeting(d.control, true); err == nil {
			e.refuse(from, &g, 9, "this is version 1")
		}
		return
	case d.kind == typeHello:
		e.hello(d, from)
		return
	case d.kind == typeReset:
		e.reset(d, from)
		return
	}
	c := e.find(d)
	if c != nil && d.sealed != nil {
		return // no connection here is (§11.2)
	}
	if c == nil || c.addr != from {
		if c == nil && (d.kind == typeData || d.kind == typeAck) && len(data) >= 32 {
			body := slices.Concat(le32(d.connection), le32(d.token), le32(d.number))
			r := datagram{kind: typeReset, checksum: true, control: body}
			e.send(from, 0, r.encode())
		}
		return
	}
	switch d.kind {
	case typeData, typeAck:
		if c.ready {
			c.take(d, ecn == 3)
		}
	case typeRetry:
		if c.client && !c.ready && len(d.control) >= 24 {
			copy(c.cookie[:], d.control)
			c.helloAt = now
		}
	case typeAccept:
		if g, err := decodeGreeting(d.control, false); err == nil && c.client && !c.ready {
			c.greet(&g)
			c.calls.begin(c)
		}
	case typeRefuse:
		if code, reason, err := decodeVerdict(d.control); err == nil && c.client && !c.ready {
			e.drop(c, code, reason)
		}
	case typeClose:
		if _, reason, err := decodeVerdict(d.control); err == nil && c.ready {
			e.forget(c, reason)
		}
	case typeChallenge:
		if c.client && c.ready && len(d.control) >= 8 {
			c.control(typeResponse, d.control)
		}
	}
}

// hello is the server's side of §5.
func (e *Endpoint) hello(d *datagram, from netip.AddrPort) {
	g, err := decodeGreeting(d.control, true)
	if err != nil || d.connection != 0 || d.token != 0 {
		return
	}
	for _, c := range e.conns {
		if !c.client && c.addr == from && c.theirs.connection == g.connection && c.theirs.token == g.token {
			e.accept(c)
			return
		}
	}
	if g.params.features&(2|4) != 0 { // to be sealed (§11)
		e.refuse(from, &g, 9, "plain text only")
		return
	}
	if g.cookie != e.cookie(from, &g) {
		cookie := e.cookie(from, &g)
		r := datagram{kind: typeRetry, checksum: true, connection: g.connection, token: g.token, control: cookie[:]}
		e.send(from, 0, r.encode())
		return
	}
	c := e.newConn(from, false)
	c.greet(&g)
	e.conns = append(e.conns, c)
	e.accept(c)
}

func (e *Endpoint) accept(c *conn) {
	g := greeting{connection: c.mine.connection, token: c.mine.token, params: e.params()}
	c.control(typeAccept, g.encode(false))
}

func (e *Endpoint) refuse(to netip.AddrPort, g *greeting, code uint8, reason string) {
	d := datagram{kind: typeRefuse, checksum: true, connection: g.connection, token: g.token, control: verdict(code, reason)}
	e.send(to, 0, d.encode())
}

// cookie is good enough for a simulation: nobody there tries to guess it.
func (e *Endpoint) cookie(from netip.AddrPort, g *greeting) (cookie [24]byte) {
	text, _ := from.MarshalBinary()
	mix := e.secret
	for _, b := range append(text, append(le32(g.connection), le32(g.token)...)...) {
		mix = (mix ^ uint64(b)) * 0x9E3779B97F4A7C15
	}
	binary.LittleEndian.PutUint64(cookie[:], mix|1)
	return cookie
}

// reset believes what proves that it saw a datagram of ours (§7).
func (e *Endpoint) reset(d *datagram, from netip.AddrPort) {
	if len(d.control) < 12 {
		return
	}
	connection, token := binary.LittleEndian.Uint32(d.control), binary.LittleEndian.Uint32(d.control[4:])
	for _, c := range slices.Clone(e.conns) {
		if c.ready && c.addr == from && c.theirs.connection == connection && c.theirs.token == token {
			e.forget(c, "reset")
		}
	}
}

// forget ends a connection that was there: its calls may have executed if they were sent.
func (e *Endpoint) forget(c *conn, reason string) { e.drop(c, 14, reason) }

func (e *Endpoint) drop(c *conn, code uint8, reason string) {
	e.conns = slices.DeleteFunc(e.conns, func(other *conn) bool { return other == c })
	c.calls.fail(code, reason)
	for _, s := range c.openStreams() {
		s.finish(code, reason, nil)
	}
}

// Close tells the peers.
func (e *Endpoint) Close() {
	for _, c := range slices.Clone(e.conns) {
		if c.ready {
			c.control(typeClose, verdict(14, "bye"))
		}
		e.forget(c, "closed")
	}
}
