package packet

import (
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Most datagrams are what was expected: Data without a checksum, or sealed, of a connection
// that is neither new nor moving, from where its remote is known to be, with the
// packet number that comes next. A few comparisons tell, and then there is less to
// do: nothing can be a duplicate, and the window of numbers moves by one.
//
// What this file does is what receive does with such a datagram, which is the
// specification; a test drives both with the same datagrams. Its invariants:
//
//   - false means that nothing was done, but that what is sealed may have been opened;
//   - a sealed connection's flags are wire.FlagSealed, and no others; where they are
//     wire.FlagChecksum there is no guard;
//   - received.next is 0 unless the connection is connected and something arrived;
//   - received.next is at most 1<<63, which is no packet's number.

// An acknowledgement mostly is of all packets that are in flight, up to its largest. So
// allArrived is what namedArrived does with such a one, and advance behind it:
//
//   - false means that nothing was done;
//   - a record from before the first that is not accounted for, and from before lostFloor,
//     means nothing: nobody looks at its state, which stays what it was.

// inOrder takes in a datagram, if it is what was expected.
func (e *Endpoint) inOrder(rx *transport.RxPacket) bool {
	b := rx.Data
	if len(b) < wire.HeaderSize {
		return false
	}
	lead := wire.LeadOf(b)
	slot := lead.Connection() & (1<<queueShift - 1)
	if int(slot) >= len(e.conns) {
		return false
	}
	c := e.conns[slot]
	if c == nil || !lead.Like(c.lead) || c.check != nil || c.addr != rx.From {
		return false
	}
	in := &c.in
	number := in.next
	if !lead.Numbered(c.token, uint32(number)) || number-1 >= 1<<63-1 { // 0: nothing arrived so far, or it is not connected
		return false
	}
	plain := c.flags == 0
	words := lead.Words()
	if words > wire.MaxAckWords {
		return false
	}
	body := b[wire.HeaderSize:]
	var head []byte // of what is opened in two places
	if !plain {
		if c.guard == nil || c.exchange != nil && !c.exchange.heard || len(body) < wire.TagSize {
			return false
		}
		var ok bool
		if words == 0 && len(body) >= apartMin {
			head, body, ok = c.openApart(b, number)
		} else {
			body, ok = e.open(c.guard, b, number)
		}
		if !ok {
			return true
		}
	}
	if words > 0 {
		acks := &e.rxHeader.Acks
		size := acks.Parse(words, body)
		if size == 0 {
			return false
		}
		body = body[size:]
		largest := expand(acks.Largest, c.next)
		if largest-1 >= c.next-1 {
			return false
		}
		if c.acknowledged(largest, acks, rx.Waited); c.state != Connected {
			return true
		}
	}
	if !plain {
		c.guard.doubt = 0
	}
	c.lastHeard = e.now
	if !c.dirty {
		c.markDirty()
	}
	e.stats.RxData++
	if c.full {
		e.stats.RxNoRoom++
		return true
	}
	word := &in.bitmap[number/64%wire.MaxAckWords]
	if number%64 == 0 {
		*word = 0 // it was of numbers that the window has left behind
	}
	*word |= 1 << (number % 64)
	in.next = number + 1
	in.since = e.now - rx.Waited
	if in.pending == 0 {
		in.due = e.now + e.cfg.AckDelay
	}
	in.pending++
	if lead.AckNow() {
		in.now = true
	}
	if rx.ECN == transport.CE {
		in.ce++
	}
	if head != nil {
		if c.layer.TakeApart(head, body) {
			return true
		}
		body = append(append(e.plain[:0], head...), body...)
	}
	c.layer.Take(body)
	return true
}

// allArrived takes in that all packets up to the largest have arrived, if the first word
// of a block says so and all were in flight.
func (c *Conn) allArrived(word uint64, t *tidings) bool {
	count := t.largest + 1 - c.first
	if c.lostFloor != 0 || count-1 >= 64 || ^word>>((64-count)&63) != 0 {
		return false
	}
	bytes, longest := 0, uint32(0)
	var last *sentPacket
	for n := c.first; n <= t.largest; n++ {
		if last = c.packet(n); last.state != packetInFlight {
			return false
		}
		bytes += int(last.size)
		longest = max(longest, last.size)
	}
	t.packets, t.sent = int(count), last.at
	c.inFlight -= int(count)
	c.bytes -= bytes
	if longest > wire.MinHello {
		c.largeArrived(t)
	}
	settled := last.first + uint32(last.count)
	if c.layer.Arrived(c.firstEntry, int(settled-c.firstEntry)); c.state != Connected {
		return true
	}
	c.first, c.firstEntry = t.largest+1, settled
	return true
}
