package packet

import (
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// A sealed connection has a guard: its Protection, with numbers for what is not
// Data. Sealing is the copy: what a layer lends is encrypted into the memory that the
// transport lends, and is free at once. Opening, too, goes from one memory to another,
// since what is received is only lent: to where a layer expects it, if it does.

// unnumbered is the bit of nonces by which datagrams that are not Data, and have
// counters of their own, are told from Data.
const unnumbered = 1 << 63

// guard is what protects a connection, or its handshake.
type guard struct {
	Protection
	sent uint64 // datagrams that are not Data, so far
	seen replay
	// doubt is when the other side is taken for gone, unless it is heard by then: somebody,
	// perhaps it, has said that it knows nothing of the connection. 0: nobody has.
	doubt time.Duration
	why   Failure // who says so
}

// doubtFor is how long the other side has to show that it is there. It is asked, and
// answers at once where it is.
const doubtFor = 100 * time.Millisecond

// replay is a window of the last numbers that were received, from 1.
type replay struct {
	next uint64 // one more than the largest
	bits uint64 // bit n is of next-1-n
}

// fresh says whether a number was not received yet, and is not too old to tell.
func (r *replay) fresh(n uint64) bool {
	return n-1 < unnumbered-1 && (n >= r.next || r.next-1-n < 64 && r.bits>>(r.next-1-n)&1 == 0)
}

// note notes a fresh number as received.
func (r *replay) note(n uint64) {
	if n < r.next {
		r.bits |= 1 << (r.next - 1 - n)
		return
	}
	r.bits = r.bits<<(n+1-r.next) | 1
	r.next = n + 1
}

// seal encrypts a datagram of the connection's that is built, with its full number.
func (c *Conn) seal(t *transport.TxPacket, number uint64) {
	if len(t.Payload) > 0 {
		t.Head = append(t.Head, t.Payload...)
		t.Payload = nil
	}
	t.Head = c.guard.Seal(t.Head, number)
	if c.guard.Spent() {
		c.e.timers.soonen(&c.timer, c.e.now) // tend ends it
	}
}

// sealControl does so with one that is not Data, whose header says number.
func (g *guard) sealControl(t *transport.TxPacket) {
	t.Head = g.Seal(t.Head, g.sent|unnumbered)
}

// header begins a sealed datagram that is not Data, and returns its length so far.
func (g *guard) header(b []byte, typ wire.Type, words uint8, index, token uint32) int {
	g.sent++
	wire.PutLead(b, typ, wire.FlagSealed, words, index, token, uint32(g.sent))
	return wire.HeaderSize
}

// open decrypts a datagram of the connection's with its full number. What it returns
// is valid until the next one is opened.
func (e *Endpoint) open(g *guard, datagram []byte, number uint64) ([]byte, bool) {
	plain, ok := g.Open(e.plain[:0], datagram, number)
	if !ok {
		e.stats.RxForged++
	}
	return plain, ok
}

// apartMin is the least length of what is worth opening where it is to stay.
const apartMin = 1024

// openApart is open of the next datagram, without acknowledgements, of the connection's.
// What its layer expects is opened into the layer's memory, which spares the copy, and
// head is what is before it there. There is no head of what is in one place.
func (c *Conn) openApart(datagram []byte, number uint64) (head, body []byte, ok bool) {
	e := c.e
	memory, n := c.layer.Expects(len(datagram) - wire.HeaderSize - wire.TagSize)
	if memory == nil {
		body, ok = e.open(c.guard, datagram, number)
		return nil, body, ok
	}
	head = e.apart[:n]
	var others [MaxApart]byte
	copy(others[:], memory[:n])
	if _, ok = c.guard.Open(memory[:0], datagram, number); !ok {
		e.stats.RxForged++
	}
	copy(head, memory)
	copy(memory, others[:n])
	return head, memory[n:], ok
}

// openControl decrypts a datagram that is not Data, and notes its number; false: it
// is forged, or a repetition.
func (e *Endpoint) openControl(g *guard, h *wire.Header, rx *transport.RxPacket) ([]byte, bool) {
	number := expand(h.Number, g.seen.next)
	if !g.seen.fresh(number) {
		e.stats.RxDuplicate++
		return nil, false
	}
	plain, ok := e.open(g, rx.Data, number|unnumbered)
	if ok {
		g.seen.note(number)
	}
	return plain, ok
}

// openSealed opens a Data or Ack of the connection's, and reads what it acknowledges
// into h; false: it is dropped.
func (c *Conn) openSealed(h *wire.Header, rx *transport.RxPacket) (rest []byte, ok bool) {
	e := c.e
	if h.Type == wire.Data {
		number := expand(h.Number, c.in.next)
		if !c.in.fresh(number) {
			e.stats.RxDuplicate++ // what is lost comes under another number: nobody waits for a word
			return nil, false
		}
		rest, ok = e.open(c.guard, rx.Data, number)
	} else {
		rest, ok = e.openControl(c.guard, h, rx)
	}
	if !ok {
		return nil, false
	}
	if words := h.Acks.Words; words > 0 {
		size := h.Acks.Parse(words, rest)
		if size == 0 {
			e.stats.Malformed(wire.ErrLength)
			return nil, false
		}
		rest = rest[size:]
	}
	if c.exchange != nil && c.addr == rx.From {
		c.confirmed()
	}
	c.guard.doubt = 0
	return rest, true
}

// doubted takes in that somebody says without proof that the remote is gone, and why: it
// is asked.
func (c *Conn) doubted(why Failure) {
	if g := c.guard; g.doubt == 0 {
		g.why = why
		g.doubt = c.e.now + max(doubtFor, 2*c.silence())
		c.e.timers.soonen(&c.timer, g.doubt)
		c.probing = true // whatever the window
		c.ping(0)
		c.Touch()
	}
}
