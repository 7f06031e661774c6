package packet

import (
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Sending, from top to bottom: an endpoint asks its connections, a connection
// fills datagrams as window, credits and pace allow, and notes what they are.

// ackEvery is how many packets may arrive before an acknowledgement goes out
// without waiting for something to ride on.
const ackEvery = 32

// Send sends what the connections have to send. progress says whether there may
// be more to do at once. After an error, which is the transport's, the endpoint is
// of no more use but to be closed.
//
// A connection that the transport's queue stops stays dirty, and is the last to go on:
// others would not get a word in while it has more to send than the queue holds.
func (e *Endpoint) Send() (progress bool, err error) {
	placed := e.burst.placed
	rest := e.dirty
	e.dirty = e.dirty[:0] // Tidy clears what is behind
	for i, c := range rest {
		if c.state == Connected && !c.flush() {
			e.dirty = append(append(e.dirty, rest[i+1:]...), c)
			break
		}
		c.dirty = false
	}
	e.sendBurst()
	return e.burst.placed != placed, e.failure
}

// SendNow sends what the connection has to send without waiting for Send.
func (c *Conn) SendNow() {
	c.flush()
	c.e.sendBurst()
}

// flush sends what window and credits allow; false means that the transport
// takes no more.
func (c *Conn) flush() bool {
	e := c.e
	before := c.bytes
	next := c.layer.Next()
	ok := true
	if c.in.pending > 0 && next == Bulk {
		ok = c.sendAck()
	}
	for more := ok && c.mayProceed(); more && next != Nothing && (c.rate == 0 && !c.waiting || c.probing || c.paced()); {
		if ok = e.hasPacket(); !ok {
			break
		}
		next, more = c.fill(next)
	}
	if c.steered && c.bytes != before {
		c.controller.Sent(e.now, c.bytes-before, c.bytes)
		c.refreshWindow()
	}
	if c.waiting && (next == Nothing || !c.mayProceed()) {
		c.stopWaiting() // for the pace; the time until then earns no burst
	}
	if ok && c.in.pending > 0 {
		if c.in.now || c.in.pending >= ackEvery || e.now >= c.in.due {
			ok = c.sendAck()
		}
	}
	c.schedule()
	return ok
}

// fill builds datagrams of what is next, if the layer has it still, notes what they
// are and places them. There must be a packet to build. It says what is next then, and
// whether one more packet may be put in flight.
func (c *Conn) fill(next Next) (after Next, more bool) {
	e := c.e
	r := &e.run
	words := c.begin(r, next)
	filled, after := c.layer.Fill(r)
	run := r.Packets
	if filled <= 0 || filled > len(run) {
		return after, c.mayProceed()
	}
	run = run[:filled]
	if words > 0 {
		c.in.report(run[0].Head[c.overhead():], words, e.now)
	}
	size := len(run[0].Head) + len(run[0].Payload) + c.tag
	sounds := next == Padded && size > c.mtu
	if !sounds {
		c.departs(size)
	}
	number := c.next
	e.place(c, number, filled)
	c.makeRoom(filled)
	c.address(run, r.Entries[:], words)
	if sounds {
		c.sound(e.now)
	}
	if more = c.mayProceed(); !more || next == Padded { // of the packets of a probe it may be the one that arrives
		wire.AskAck(run[filled-1].Head)
		c.unasked = 0
	}
	if c.flags != 0 {
		for i := range run {
			c.protect(&run[i], number+uint64(i))
		}
	}
	e.stats.TxData += uint64(filled)
	return after, more
}

// address gives packets that are filled, of which the layer made so many entries each,
// their headers and the way they go, and records them. There must be room.
func (c *Conn) address(run []transport.TxPacket, entries []uint16, words uint8) {
	ring, now, tag, route := c.packets, c.e.now, c.tag, c.route
	number, entry, bytes := c.next, c.nextEntry, c.bytes
	ask, unasked, most := c.ackNow, c.unasked, c.window>>2
	low, high := wire.LeadWords(wire.Data, c.flags, words, c.remoteIndex, c.remoteToken)
	for i := range run[:min(len(run), len(entries))] {
		t := &run[i]
		size := len(t.Head) + len(t.Payload) + tag
		bytes += size
		unasked += size
		t.Route, t.ECN = route, transport.ECT0
		wire.PutLeadWords(t.Head, low, high, uint32(number))
		if ask || unasked >= most { // several times a window, or it would leave in one burst every round trip
			wire.AskAck(t.Head)
			ask, unasked = false, 0
		}
		p := &ring[number&uint64(len(ring)-1)]
		p.at, p.first, p.size, p.count, p.state = now, entry, uint32(size), entries[i], packetInFlight
		entry += uint32(entries[i])
		number++
	}
	c.next, c.nextEntry, c.bytes = number, entry, bytes
	c.inFlight += len(run)
	c.ackNow, c.unasked = ask, unasked
}

// protect adds to a packet what its flags promise.
func (c *Conn) protect(t *transport.TxPacket, number uint64) {
	if c.guard != nil {
		c.seal(t, number)
	} else {
		wire.Seal(t.Head, t.Payload)
	}
}

// begin readies a run of as many datagrams as may be put in flight whatever their
// lengths, or of one where something is to be looked at before each: the pace, a probe,
// or acknowledgements, of so many words, that ride in it.
func (c *Conn) begin(r *Run, next Next) (words uint8) {
	b := &c.e.burst
	skip, limit, most := c.overhead(), c.mtu-c.tag, 1
	switch {
	case next == Padded:
		limit = c.maxMTU - c.tag
	case next > 0 && c.in.pending > 0:
		words = c.in.words()
		if size := wire.AckSize(words); skip+size+int(next) <= min(limit, len(b.packets[b.ready].Head)) {
			skip += size
		} else {
			words = 0
			c.in.now = true // to go in a datagram of its own
		}
	case c.rate == 0 && !c.probing:
		most = c.mayFollow(b.reserved-b.ready, c.mtu)
	}
	r.Skip, r.Limit = skip, limit
	r.Packets = b.packets[b.ready : b.ready+most]
	return words
}

// departs notes that a packet that counts leaves, which is the only one of its run
// where there is a pace.
func (c *Conn) departs(size int) {
	c.probing = false
	c.lastSent = c.e.now // acknowledgements do not put the probe timeout off
	if c.rate != 0 {
		c.spend(size, c.e.now)
		if c.gap() > c.smoothed/4 {
			c.ackNow = true // few packets tell what the path is like: none should wait
		}
	}
}

// overhead is the length of a header without acknowledgements.
func (c *Conn) overhead() int {
	if c.flags&wire.FlagChecksum != 0 {
		return wire.HeaderSize + wire.ChecksumSize
	}
	return wire.HeaderSize
}

// sendAck builds a datagram of acknowledgements only.
func (c *Conn) sendAck() bool {
	t := c.e.nextPacket()
	if t == nil {
		return false
	}
	words := c.in.wordsAlone()
	n := c.overhead()
	if c.guard != nil {
		c.guard.header(t.Head, wire.Ack, words, c.remoteIndex, c.remoteToken)
	} else {
		wire.PutLead(t.Head, wire.Ack, c.flags, words, c.remoteIndex, c.remoteToken, 0)
	}
	n += c.in.report(t.Head[n:], words, c.e.now)
	wire.PutArrival(t.Head[n:], uint32(c.in.since/time.Microsecond))
	c.sendControl(t, n+wire.ArrivalSize)
	return true
}

// sendControl places a datagram of n bytes that is not Data, with the tag still to come.
func (c *Conn) sendControl(t *transport.TxPacket, n int) { c.sendControlOn(t, n, c.route, c.guard) }

// sendControlOn does so on a route, sealed by g if its header says that it is.
func (c *Conn) sendControlOn(t *transport.TxPacket, n int, route transport.Route, g *guard) {
	t.Head = t.Head[:n]
	t.Route = route
	t.ECN = transport.NotECT
	switch flags := t.Head[2]; {
	case flags&wire.FlagChecksum != 0:
		wire.Seal(t.Head, nil)
	case flags&wire.FlagSealed != 0:
		g.sealControl(t)
	}
	c.e.stats.TxControl++
	c.e.place(nil, 0, 1)
}

// controlHeader begins a control datagram to the remote, and returns its length
// so far.
func (c *Conn) controlHeader(t *transport.TxPacket, typ wire.Type) int {
	if c.guard != nil {
		return c.guard.header(t.Head, typ, 0, c.remoteIndex, c.remoteToken)
	}
	h := wire.Header{Type: typ, Flags: wire.FlagChecksum, Connection: c.remoteIndex, Token: c.remoteToken}
	return h.Put(t.Head)
}
