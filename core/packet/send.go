package packet

import (
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
// A connection that the transport's queue stops stays dirty.
func (e *Endpoint) Send() (progress bool, err error) {
	placed := e.burst.placed
	blocked := false
	keep := e.dirty[:0]
	for _, c := range e.dirty {
		if c.state == Connected && (blocked || !c.flush()) {
			blocked = true
			keep = append(keep, c)
			continue
		}
		c.dirty = false
	}
	e.dirty = keep // Tidy clears what is behind
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
	first := c.next
	next := c.layer.Next()
	ok := true
	if c.in.pending > 0 && next == Bulk {
		ok = c.sendAck()
	}
	for ok && next != Nothing && c.mayProceed() && (c.probing || c.paced()) {
		if t := e.nextPacket(); t != nil {
			next = c.fill(t, next)
		} else {
			ok = false
		}
	}
	if c.steered && c.next != first {
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

// fill builds a datagram of what is next, if the layer has it still, and says what
// is then.
func (c *Conn) fill(t *transport.TxPacket, next Next) Next {
	e := c.e
	h := c.header(wire.Data)
	limit := len(t.Head)
	if next > 0 {
		limit = min(c.mtu, limit)
		if c.in.pending > 0 {
			c.in.report(&h.Acks, e.now)
			if h.Size()+int(next) > limit {
				h.Acks.Words = 0
				c.in.pending, c.in.now = max(c.in.pending, 1), true // to go in a datagram of its own
			}
		}
	}
	n := h.Put(t.Head)
	size, entries, after := c.layer.Fill(t.Head[n:limit], &t.Payload)
	if entries > 0 {
		if next == Padded {
			c.ackNow = true // of the packets of a probe it may be the one that arrives
		}
		c.finish(t, n+size, entries)
	}
	return after
}

// header begins a datagram.
func (c *Conn) header(t wire.Type) *wire.Header {
	h := &c.e.txHeader
	h.Type = t
	h.Flags = 0
	h.Connection, h.Token = c.remoteIndex, c.remoteToken
	h.Number = uint32(c.next)
	h.Acks.Words = 0
	if c.checksum {
		h.Flags = wire.FlagChecksum
	}
	return h
}

// overhead is the length of a header without acknowledgements.
func (c *Conn) overhead() int {
	if c.checksum {
		return wire.HeaderSize + wire.ChecksumSize
	}
	return wire.HeaderSize
}

// finish records and places a Data datagram of which the layer made entries.
func (c *Conn) finish(t *transport.TxPacket, n, entries int) {
	e := c.e
	t.Head = t.Head[:n]
	t.Route = c.route
	t.ECN = transport.ECT0
	size := n + len(t.Payload)
	e.place(c, c.next)
	c.push(e.now, size, entries)
	if c.rate != 0 {
		c.spend(size, e.now)
		if c.gap() > c.smoothed/4 {
			c.ackNow = true // few packets tell what the path is like: none should wait
		}
	}
	c.probing = false
	c.lastSent = e.now // acknowledgements do not put the probe timeout off
	c.unasked += size
	if c.ackNow || !c.mayProceed() || c.unasked >= c.window/4 {
		// Several times a window, or it would leave in one burst every round trip.
		wire.SetAckNow(t.Head)
		c.ackNow, c.unasked = false, 0
	}
	if c.checksum {
		wire.Seal(t.Head, t.Payload)
	}
	e.stats.TxData++
}

// sendAck builds a datagram of acknowledgements only.
func (c *Conn) sendAck() bool {
	t := c.e.nextPacket()
	if t == nil {
		return false
	}
	h := c.header(wire.Ack)
	h.Number = 0
	c.in.report(&h.Acks, c.e.now)
	c.sendControl(t, h.Put(t.Head))
	return true
}

// sendControl places an unnumbered datagram of n bytes.
func (c *Conn) sendControl(t *transport.TxPacket, n int) {
	t.Head = t.Head[:n]
	t.Route = c.route
	t.ECN = transport.NotECT
	if t.Head[2]&wire.FlagChecksum != 0 {
		wire.Seal(t.Head, nil)
	}
	c.e.stats.TxControl++
	c.e.place(nil, 0)
}

// controlHeader begins a control datagram to the remote, and returns its length
// so far.
func (c *Conn) controlHeader(t *transport.TxPacket, typ wire.Type) int {
	h := wire.Header{Type: typ, Flags: wire.FlagChecksum, Connection: c.remoteIndex, Token: c.remoteToken}
	return h.Put(t.Head)
}
