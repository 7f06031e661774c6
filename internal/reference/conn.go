package reference

import (
	"net/netip"
	"slices"
	"time"
)

const (
	helloWait  = 20 * time.Millisecond
	probeWait  = 30 * time.Millisecond // without an acknowledgement, until something is sent again
	overtaken  = 3                     // packets, until one is taken for lost
	ackAtLeast = 2                     // packets, until an acknowledgement goes out at once
)

// conn is one connection, of either side.
type conn struct {
	end           *Endpoint
	addr          netip.AddrPort
	client, ready bool
	mine, theirs  struct{ connection, token uint32 }
	params        params // the peer's
	checksum      bool

	// The client's handshake (§5).
	cookie  [24]byte
	helloAt time.Duration // when to say it next
	wait    time.Duration

	// What is sent (§9).
	next    uint64 // packet number
	sent    map[uint64]*packet
	highest uint64 // acknowledged
	queue   []*piece
	probeAt time.Duration // if nothing is acknowledged; 0: nothing is in flight
	waited  time.Duration
	probe   bool // one packet may go out whatever the limits

	// What is received (§2.6).
	seen    map[uint64]bool
	largest uint64
	arrived time.Duration // the largest
	ackAt   time.Duration // 0: nothing to acknowledge
	unacked int
	ce      uint16
	heard   time.Duration

	server serving // as a server (§8)
	calls  calling // as a client
}

// piece is a message or fragment, to be sent until a packet with it is acknowledged.
type piece struct {
	message
	until time.Duration // of a request; 0: for ever
	done  bool          // acknowledged, or nobody wants it any more
	began bool          // sent at least once
	place uint32        // in its stream, if it is of one: where it begins
}

type packet struct {
	pieces []*piece
}

func (e *Endpoint) newConn(addr netip.AddrPort, client bool) *conn {
	c := &conn{end: e, addr: addr, client: client, next: 1, sent: map[uint64]*packet{}, seen: map[uint64]bool{}, heard: e.now, waited: probeWait}
	c.mine.connection, c.mine.token = e.index(), e.random.Uint32()|1
	c.server.sessions = map[uint16]*session{}
	c.calls.conn = c
	return c
}

// greet takes in what the peer says of itself.
func (c *conn) greet(g *greeting) {
	c.theirs.connection, c.theirs.token, c.params = g.connection, g.token, g.params
	c.checksum = c.end.cfg.Checksum || g.params.features&1 != 0
	c.ready, c.heard = true, c.end.now
}

// control sends the peer a control datagram, which carries its checksum always (§2.4).
func (c *conn) control(kind uint8, body []byte) {
	d := datagram{kind: kind, checksum: true, connection: c.theirs.connection, token: c.theirs.token, control: body}
	c.end.send(c.addr, 0, d.encode())
}

// take takes in a Data or Ack.
func (c *conn) take(d *datagram, ce bool) {
	if c.checksum && !d.checksum {
		return
	}
	if d.acks != nil {
		if largest := expand(d.acks.largest, c.next); largest == 0 || largest >= c.next {
			return // it acknowledges what was not sent (§2.6)
		}
	}
	c.heard = c.end.now
	if d.kind == typeData {
		number := expand(d.number, c.nearest())
		if number == 0 || number >= 1<<63 {
			return
		}
		c.unacked++
		if c.ackAt == 0 {
			c.ackAt = c.end.now + c.end.cfg.AckDelay
		}
		if c.seen[number] || number+window <= c.largest {
			c.ackAt = c.end.now // a duplicate's is due at once
			return
		}
		if d.acks != nil {
			c.acknowledged(d.acks)
		}
		c.seen[number] = true
		if d.ackNow || c.unacked >= ackAtLeast {
			c.ackAt = c.end.now
		}
		if number > c.largest {
			c.largest, c.arrived = number, c.end.now
		}
		if ce {
			c.ce++
		}
		for i := range d.messages {
			c.message(&d.messages[i])
		}
		return
	}
	if d.acks != nil {
		c.acknowledged(d.acks)
	}
}

// nearest is what a packet number is expanded near.
func (c *conn) nearest() uint64 {
	if c.largest == 0 {
		return 0
	}
	return c.largest + 1
}

// message takes in one from the side that may say it (§3.1).
func (c *conn) message(m *message) {
	switch {
	case m.trace != nil && c.end.cfg.Traced == nil: // §3.5: what was not asked for
	case m.kind == kindResponse && c.client:
		c.response(m)
	case m.kind == kindRequest && !c.client:
		c.request(m)
	case m.kind == kindCancel && !c.client:
		c.cancelRequest(m)
	case m.kind == kindCloseSession && !c.client:
		c.closeSession(m)
	case m.kind == kindCloseSession:
		c.sessionEnded(m)
	case m.kind >= kindStreamHeader && c.streams() > 0:
		c.stream(m)
	}
}

// acknowledged takes in a block (§2.5, §9).
func (c *conn) acknowledged(a *ackBlock) {
	largest := expand(a.largest, c.next)
	progress := false
	for back, received := range a.received {
		number := largest - uint64(back)
		if number > largest || number == 0 {
			break
		}
		if p := c.sent[number]; received && p != nil {
			delete(c.sent, number)
			progress = true
			for _, piece := range p.pieces {
				piece.done = true
			}
			c.highest = max(c.highest, number)
		}
	}
	if !progress {
		return
	}
	for _, number := range c.inFlight() {
		if number+overtaken <= c.highest {
			c.lost(number)
		}
	}
	c.waited, c.probeAt = probeWait, 0
	if len(c.sent) > 0 {
		c.probeAt = c.end.now + c.waited
	}
}

// inFlight is what was sent and is neither acknowledged nor lost, the oldest first.
func (c *conn) inFlight() []uint64 {
	var numbers []uint64
	for number := range c.sent {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	return numbers
}

// lost queues again what a packet held and has not arrived otherwise.
func (c *conn) lost(number uint64) {
	for _, p := range c.sent[number].pieces {
		if !p.done && !slices.Contains(c.queue, p) {
			c.queue = append(c.queue, p)
		}
	}
	delete(c.sent, number)
}

// timers does what is due.
func (c *conn) timers() {
	e := c.end
	switch {
	case !c.ready && c.client && e.now >= c.helloAt:
		g := greeting{connection: c.mine.connection, token: c.mine.token, params: e.params(), cookie: c.cookie}
		d := datagram{kind: typeHello, checksum: true, control: g.encode(true)}
		e.send(c.addr, 0, d.encode())
		c.helloAt, c.wait = e.now+c.wait, 2*c.wait
	case !c.ready:
	case e.now-c.heard > e.cfg.Silence:
		e.forget(c, "silence")
		return
	case c.probeAt != 0 && e.now >= c.probeAt:
		for _, number := range c.inFlight() {
			c.lost(number)
		}
		if len(c.queue) == 0 {
			c.queue = append(c.queue, &piece{message: message{kind: kindPing}})
		}
		c.probe, c.waited = true, min(2*c.waited, 20*probeWait)
		c.probeAt = e.now + c.waited
	case c.client && e.now-c.heard >= c.quiet() && len(c.sent) == 0 && len(c.queue) == 0:
		c.queue = append(c.queue, &piece{message: message{kind: kindPing}})
	}
	c.expire()
}

// quiet is when a client breaks silence (§6).
func (c *conn) quiet() time.Duration {
	least := min(c.end.cfg.Silence, time.Duration(c.params.silence)*time.Millisecond)
	return max(time.Millisecond, least/4)
}

// flush sends what may go out.
func (c *conn) flush() {
	if !c.ready {
		return
	}
	c.settleStreams()
	for {
		c.queue = slices.DeleteFunc(c.queue, func(p *piece) bool { return p.done })
		if len(c.queue) == 0 || !c.mayServe() || !c.probe && len(c.sent) >= min(int(c.params.credits), window) {
			break
		}
		c.packet()
		c.probe = false
	}
	if c.ackAt != 0 && c.end.now >= c.ackAt {
		d := datagram{kind: typeAck, checksum: c.checksum, connection: c.theirs.connection, token: c.theirs.token, acks: c.block()}
		d.control = le32(uint32(c.arrived / time.Microsecond)) // when the largest came (§2.5)
		c.end.send(c.addr, 0, d.encode())
	}
}

// mayServe says whether a server has heard Data: before, its Accept may have been lost (§5).
func (c *conn) mayServe() bool { return c.client || c.largest > 0 }

// packet sends one Data of what is queued.
func (c *conn) packet() {
	d := datagram{kind: typeData, checksum: c.checksum, connection: c.theirs.connection, token: c.theirs.token, number: uint32(c.next)}
	if c.ackAt != 0 {
		d.acks = c.block()
	}
	room := minHello - 20 - 8 - 64
	p := &packet{}
	for len(c.queue) > 0 {
		next := c.queue[0]
		if next.until != 0 {
			left := uint32(max(1, (next.until-c.end.now)/time.Microsecond))
			next.deadline = &left
		}
		size := len(next.message.append(nil))
		if size > room {
			break
		}
		room -= size
		next.began = true
		d.messages = append(d.messages, next.message)
		p.pieces = append(p.pieces, next)
		c.queue = c.queue[1:]
	}
	d.ackNow = c.probe || len(c.sent)+1 >= min(int(c.params.credits), window)
	c.sent[c.next] = p
	c.next++
	if c.probeAt == 0 {
		c.probeAt = c.end.now + c.waited
	}
	c.end.send(c.addr, 2, d.encode())
}

// block reports the latest packets (§2.5); nothing is due then.
func (c *conn) block() *ackBlock {
	delay := min((c.end.now-c.arrived)/time.Microsecond, 1<<16-1)
	a := &ackBlock{largest: uint32(c.largest), delay: uint16(delay), ce: c.ce}
	for number := c.largest; number > 0 && len(a.received) < 64*7; number-- {
		a.received = append(a.received, c.seen[number])
	}
	for number := range c.seen {
		if number+2*window < c.largest {
			delete(c.seen, number)
		}
	}
	c.ackAt, c.unacked = 0, 0
	return a
}

// deadline is when timers has something to do.
func (c *conn) deadline() (at time.Duration, ok bool) {
	consider := func(t time.Duration) {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	if !c.ready {
		if c.client {
			consider(c.helloAt)
		}
		return at, ok
	}
	consider(c.heard + c.end.cfg.Silence + 1)
	if c.client {
		if next := c.heard + c.quiet(); next > c.end.now {
			consider(next)
		}
	}
	if c.probeAt != 0 {
		consider(c.probeAt)
	}
	if c.ackAt != 0 {
		consider(c.ackAt)
	}
	for _, t := range c.expiries() {
		consider(t)
	}
	return at, ok
}
