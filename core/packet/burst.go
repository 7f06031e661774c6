package packet

import (
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// burstSize is how many datagrams are built before they are handed down.
const burstSize = 64

// burst is the transmit side of an endpoint: packets [sent, ready) are built,
// heads [ready, reserved) are lent by the transport.
type burst struct {
	packets               [burstSize]transport.TxPacket
	sent, ready, reserved int
	// numbered says, at the first of count packets in a row, what they are to their
	// connection; nil for one that carries no packet number.
	numbered [burstSize]struct {
		conn   *Conn
		number uint64 // of the first
		count  int
	}
	// held says that the transport did not take packets [sent, ready) when they
	// were built.
	held bool
	// placed counts all packets built; the transport numbers them alike.
	placed uint64
}

// hasPacket says whether there is a packet to build; false: the transport takes no
// more for now.
func (e *Endpoint) hasPacket() bool { return e.burst.ready != e.burst.reserved || e.reserve() }

// nextPacket returns a packet with an empty head to build, or nil if there is none.
func (e *Endpoint) nextPacket() *transport.TxPacket {
	if !e.hasPacket() {
		return nil
	}
	return &e.burst.packets[e.burst.ready]
}

// reserve has the transport lend more heads; false: it has none.
func (e *Endpoint) reserve() bool {
	b := &e.burst
	if b.ready == burstSize {
		e.sendBurst()
	}
	if b.ready == burstSize {
		return false
	}
	n := e.tr.Reserve(b.packets[b.reserved:min(b.reserved+b.reserveSize(), burstSize)])
	if n == 0 {
		e.sendBurst() // frees heads, in most backends
		n = e.tr.Reserve(b.packets[b.reserved:min(b.reserved+1, burstSize)])
	}
	b.reserved += n
	return n > 0
}

// reserveSize keeps a lone request from reserving a whole burst.
func (b *burst) reserveSize() int { return max(4, b.ready) }

// place completes so many packets, of which nextPacket returned the first, with numbers
// of c's from number on, or one with none if c is nil.
func (e *Endpoint) place(c *Conn, number uint64, count int) {
	b := &e.burst
	n := &b.numbered[b.ready]
	n.conn, n.number, n.count = c, number, count
	b.ready += count
	b.placed += uint64(count)
}

// sendBurst hands down what is built.
func (e *Endpoint) sendBurst() {
	b := &e.burst
	if b.sent < b.ready {
		n, err := e.tr.Send(b.packets[b.sent:b.ready])
		if b.held {
			b.leave(b.sent, b.sent+n, e.now)
		}
		b.sent += n
		b.held = b.sent < b.ready
		if err != nil {
			e.broke(err)
			return
		}
	}
	if b.sent != b.ready {
		return
	}
	if b.ready == b.reserved {
		b.sent, b.ready, b.reserved = 0, 0, 0
	}
	for _, r := range e.strays {
		e.tr.Forget(r)
	}
	e.strays = e.strays[:0]
}

// sendAll hands down what is built, to a transport that may take it bit by bit.
func (e *Endpoint) sendAll() {
	for before := -1; e.burst.sent > before; {
		before = e.burst.sent
		e.sendBurst()
	}
}

// broke notes that the transport is of no more use. What it has lent is gone.
func (e *Endpoint) broke(err error) {
	if e.failure == nil {
		e.failure = err
	}
	b := &e.burst
	b.sent, b.ready, b.reserved = 0, 0, 0
}

// leave notes that packets [from, to) left no earlier than now, so that the time
// they lay here does not count as the network's.
func (b *burst) leave(from, to int, now time.Duration) {
	for row := 0; row < to; row += b.numbered[row].count {
		n := &b.numbered[row]
		if n.conn == nil {
			continue
		}
		for i := max(row, from); i < min(row+n.count, to); i++ {
			n.conn.delayed(n.number+uint64(i-row), now)
		}
	}
}
