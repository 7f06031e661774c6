package packet

import (
	"fmt"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Receiving, from top to bottom: a burst, a datagram, what it acknowledges, its
// number, and what it holds, which is the layer's. Control datagrams go to the
// handshake.

// queueShift splits connection indexes: the bits above it name the transport
// queue, since the host's choice of queue for a packet is no more than a hint.
const queueShift = 24

// Fetch takes a burst from the transport, for Receive to look at. Read the clock
// between the two: what arrived then did so before that time, and however long
// it waited on this host can be told from what it took on the way.
func (e *Endpoint) Fetch() {
	if e.fetched > 0 {
		return // Receive was left early
	}
	n, err := e.tr.Recv(e.rx)
	if err != nil {
		e.broke(err)
	}
	e.fetched, e.behind = n, n == len(e.rx)
}

// Receive takes in what Fetch got. progress says whether there was anything. If a
// layer's method does not return, since it panics and somebody recovers, the next
// Receive goes on with the datagram after the one in hand.
func (e *Endpoint) Receive() (progress bool) {
	e.injected = false
	n := e.fetched
	for e.begun < n && !e.closed { // Shut takes the memory away
		rx := &e.rx[e.begun]
		e.begun++
		if !e.inOrder(rx) {
			e.receive(rx)
		}
	}
	if n > 0 && !e.closed {
		e.tr.Release(e.rx[:n])
	}
	e.fetched, e.begun = 0, 0
	if e.unreachable != nil && (n == 0 || e.now >= e.heeded+granularity) {
		e.heedUnreachable() // seldom while there is other work: it is for who waits
	}
	return n > 0
}

// receive takes in one datagram.
func (e *Endpoint) receive(rx *transport.RxPacket) {
	h := &e.rxHeader
	rest, err := h.Parse(rx.Data)
	switch {
	case err != nil:
		e.malformed(h, rest, err, rx)
	case h.Connection>>queueShift != e.queue && h.Type != wire.Hello && h.Type != wire.Reset:
		e.misrouted(int(h.Connection>>queueShift), rx)
	case h.Type == wire.Data || h.Type == wire.Ack:
		if c := e.connAt(h.Connection, h.Token); c != nil {
			c.receive(h, rest, rx)
		} else {
			e.stats.RxUnknown++
			e.reset(h, rx)
		}
	default:
		e.control(h, rest, rx)
	}
}

// receive takes in a Data or Ack, if it may be believed.
func (c *Conn) receive(h *wire.Header, rest []byte, rx *transport.RxPacket) {
	e := c.e
	known := c.addr == rx.From
	if c.state != Connected || !known && c.dialed {
		if x := c.exchange; x != nil && known {
			x.missed = true
		}
		e.stats.RxUnknown++
		return
	}
	switch has := h.Flags&wire.FlagChecksum != 0; {
	case (h.Flags&wire.FlagSealed != 0) != (c.guard != nil):
		e.stats.RxForged++
		return
	case c.guard != nil:
		var ok bool
		if rest, ok = c.openSealed(h, rx); !ok {
			return
		}
	case !has && c.flags != 0 || has && wire.Verify(rx.Data) != nil:
		e.stats.RxChecksum++
		return
	}
	if !known {
		e.stats.RxUnknown++
		c.elsewhere(h, rx)
		return
	}
	largest := expand(h.Acks.Largest, c.next)
	if number := expand(h.Number, c.in.next); h.Acks.Words > 0 && largest-1 >= c.next-1 || // it was never sent
		h.Type == wire.Data && number-1 >= 1<<63-1 { // nor can this have been
		e.stats.RxMalformed++
		return // as if lost, and not heard: who goes on so is given up
	}
	c.lastHeard = e.now
	if c.check != nil {
		c.check.present()
	}
	c.Touch()
	take := h.Type == wire.Data
	switch {
	case !take:
		e.stats.RxControl++
	case c.full:
		e.stats.RxData++
		e.stats.RxNoRoom++
		take = false // not received: it will come again
	default:
		e.stats.RxData++
		if !c.accepts(h, rx) {
			return
		}
	}
	if h.Acks.Words > 0 {
		if h.Type == wire.Ack {
			c.forth.arrival, c.forth.told = wire.Arrival(rest)
		}
		c.acknowledged(largest, &h.Acks, rx.Waited)
		c.forth.told = false
	}
	if take && c.state == Connected {
		c.layer.Take(rest)
	}
}

// accepts notes the packet number of a Data packet; false means it was seen
// before.
func (c *Conn) accepts(h *wire.Header, rx *transport.RxPacket) bool {
	e, in := c.e, &c.in
	if in.next == 0 && !c.dialed {
		c.probeMTU()
	}
	number := expand(h.Number, in.next)
	if number >= in.next {
		in.since = e.now - rx.Waited
	}
	fresh := in.add(number)
	if in.pending == 0 {
		in.due = e.now + e.cfg.AckDelay
	}
	in.pending++
	if h.Flags&wire.FlagAckNow != 0 {
		in.now = true
	}
	if !fresh {
		e.stats.RxDuplicate++
		in.now = true // its acknowledgement was lost
		return false
	}
	if rx.ECN == transport.CE {
		in.ce++
	}
	return true
}

// misrouted hands on a packet that belongs to another queue's endpoint.
func (e *Endpoint) misrouted(queue int, rx *transport.RxPacket) {
	if e.cfg.Misrouted == nil || queue >= e.caps.Queues || e.caps.Queues < 2 || e.injected {
		e.stats.RxUnknown++
		if h := &e.rxHeader; h.Type == wire.Data || h.Type == wire.Ack {
			e.reset(h, rx) // perhaps of a former process, with more queues
		}
		return
	}
	e.stats.RxMisrouted++
	e.cfg.Misrouted(queue, rx)
}

// Inject takes in a packet that another queue's endpoint received and found to
// be this one's. rx is not kept.
func (e *Endpoint) Inject(rx *transport.RxPacket) {
	e.injected = true
	e.receive(rx)
	e.injected = false
}

// otherVersion is made once, so that a flood does not make it allocate.
var otherVersion = fmt.Sprintf("this endpoint speaks protocol version %d", wire.Version)
