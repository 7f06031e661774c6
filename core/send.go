package core

import (
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

const (
	// burstSize is how many datagrams are built before they are handed down.
	burstSize = 64
	// copyLimit is the longest body that is copied beside others; longer ones
	// are lent to the transport as Payload.
	copyLimit = 1024
	// turn is how many fragments of a message go before another message's: long
	// enough to read and write memory in order.
	turn = 16
	// ackEvery is how many packets may arrive before an acknowledgement goes out
	// without waiting for a response to ride on.
	ackEvery = 32
)

// burst is the transmit side of an endpoint: packets [sent, ready) are built,
// heads [ready, reserved) are lent by the transport.
type burst struct {
	packets               [burstSize]transport.TxPacket
	sent, ready, reserved int
	// numbered says what the packets are to their peers; nil for those that carry
	// no packet number.
	numbered [burstSize]struct {
		peer   *peer
		number uint64
	}
	// held says that the transport did not take packets [sent, ready) when they
	// were built.
	held bool
	// placed counts all packets built; the transport numbers them alike.
	placed uint64
}

// nextPacket returns a packet with an empty head to build, or nil if the
// transport takes no more for now.
func (e *Endpoint) nextPacket() *transport.TxPacket {
	b := &e.burst
	if b.ready == b.reserved {
		if b.ready == burstSize {
			e.sendBurst()
		}
		if b.ready == burstSize {
			return nil
		}
		n := e.tr.Reserve(b.packets[b.reserved:min(b.reserved+b.reserveSize(), burstSize)])
		if n == 0 {
			e.sendBurst() // frees heads, in most backends
			if n = e.tr.Reserve(b.packets[b.reserved:min(b.reserved+1, burstSize)]); n == 0 {
				return nil
			}
		}
		b.reserved += n
	}
	return &b.packets[b.ready]
}

// reserveSize keeps a lone request from reserving a whole burst.
func (b *burst) reserveSize() int { return max(4, b.ready) }

// place completes the packet that nextPacket returned.
func (e *Endpoint) place() {
	e.burst.ready++
	e.burst.placed++
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
	for i := from; i < to; i++ {
		if n := &b.numbered[i]; n.peer != nil {
			n.peer.delayed(n.number, now)
		}
	}
}

// flush sends what the peers have to send. A peer that the transport's queue
// stops stays dirty.
func (e *Endpoint) flush() {
	blocked := false
	keep := e.dirty[:0]
	for _, p := range e.dirty {
		if p.state == peerConnected && (blocked || !p.flush()) {
			blocked = true
			keep = append(keep, p)
			continue
		}
		p.dirty = false
	}
	clear(e.dirty[len(keep):])
	e.dirty = keep
	e.sendBurst()
}

// flush sends what window and credits allow; false means that the transport
// takes no more.
func (p *peer) flush() bool {
	e := p.ep
	before := p.bytes
	first := p.next
	ok := true
	if p.in.pending > 0 && p.urgent.head == nil && p.bulk.head != nil {
		ok = p.sendAck() // fragments fill their datagrams: nothing rides along
	}
	for ok && (p.urgent.head != nil || p.bulk.head != nil) && p.mayProceed() && (p.probing || p.paced()) {
		t := e.nextPacket()
		switch {
		case t == nil:
			ok = false
		case p.urgent.head != nil:
			p.pack(t)
		default:
			p.packFragment(t)
		}
	}
	if p.next != first {
		p.controller.Sent(e.now, p.bytes-before, p.bytes)
		p.refreshWindow()
	}
	if p.waiting && (p.urgent.head == nil && p.bulk.head == nil || !p.mayProceed()) {
		p.stopWaiting() // for the pace; the time until then earns no burst
	}
	if ok && p.in.pending > 0 {
		if p.in.now || p.in.pending >= ackEvery || e.now >= p.in.due {
			ok = p.sendAck()
		}
	}
	p.schedule()
	return ok
}

// header begins a datagram.
func (p *peer) header(t wire.Type) *wire.Header {
	h := &p.ep.txHeader
	h.Type = t
	h.Flags = 0
	h.Connection, h.Token = p.remoteIndex, p.remoteToken
	h.Number = uint32(p.next)
	h.Acks.Words = 0
	if p.checksum {
		h.Flags = wire.FlagChecksum
	}
	return h
}

// pack builds a datagram of as many urgent messages as fit.
func (p *peer) pack(t *transport.TxPacket) {
	e := p.ep
	h := p.header(wire.Data)
	limit := min(p.mtu, len(t.Head))
	if first := p.urgent.head; p.in.pending > 0 && first.padding == 0 {
		p.in.report(&h.Acks, e.now)
		if h.Size()+first.size() > limit {
			h.Acks.Words = 0
			p.in.pending, p.in.now = max(p.in.pending, 1), true // to go in a datagram of its own
		}
	}
	n := h.Put(t.Head)
	count := 0
	for m := p.urgent.head; m != nil; m = p.urgent.head {
		size := m.size()
		if m.padding > 0 {
			// An MTU probe goes alone.
			if count > 0 {
				break
			}
			m.dequeue()
			p.hold(m, 0)
			end := int(m.padding)
			m.message.Put(t.Head[n:], end-n-wire.MessageHeaderSize)
			clear(t.Head[n+wire.MessageHeaderSize : end])
			n, count = end, 1
			p.ackNow = true // of the packets of a probe it may be the one that arrives
			break
		}
		if n+size > limit {
			if count == 0 {
				// Queued when the MTU was larger.
				m.dequeue()
				p.bulk.push(m)
				continue
			}
			break
		}
		p.hold(m, 0)
		count++
		m.dequeue()
		m.started = true
		if m.deadline != 0 {
			m.message.Deadline = wire.EncodeTimeout(m.deadline - e.now)
		}
		n += m.message.Put(t.Head[n:], len(m.data))
		if len(m.data) > copyLimit {
			t.Payload = m.data
			m.payloadEnd = e.burst.placed + 1
			break
		}
		n += copy(t.Head[n:], m.data)
		if e.cfg.NoCoalesce {
			break
		}
	}
	if count == 0 {
		return
	}
	e.stats.TxMessages += uint64(count)
	p.finish(t, n, count)
}

// packFragment builds a datagram of one fragment of a bulk message.
func (p *peer) packFragment(t *transport.TxPacket) {
	e := p.ep
	m := p.bulk.head
	if m.stride == 0 && len(m.data) <= p.singleLimit() {
		m.dequeue()
		p.urgent.push(m) // queued when the MTU was smaller
		return
	}
	if m.stride == 0 || int(m.stride) > p.stride() {
		e.restamp(m)
		m.split(p.stride())
	}
	fragment, ok := m.take()
	left := len(m.lost) > 0 || m.cut < m.fragments
	if !left || fragment%turn == turn-1 {
		m.dequeue()
	}
	if left && m.queue == nil {
		p.bulk.push(m)
	}
	if !ok {
		return
	}
	p.hold(m, fragment)
	m.started = true
	if m.deadline != 0 {
		m.message.Deadline = wire.EncodeTimeout(m.deadline - e.now)
	}
	m.message.Index = uint32(fragment)
	body := m.body(fragment)
	n := p.header(wire.Data).Put(t.Head)
	n += m.message.Put(t.Head[n:], len(body))
	t.Payload = body
	m.payloadEnd = e.burst.placed + 1
	e.stats.TxMessages++
	p.finish(t, n, 1)
}

// finish records and places a Data datagram of count messages.
func (p *peer) finish(t *transport.TxPacket, n, count int) {
	e := p.ep
	t.Head = t.Head[:n]
	t.Route = p.route
	t.ECN = transport.ECT0
	size := n + len(t.Payload)
	e.burst.numbered[e.burst.ready].peer, e.burst.numbered[e.burst.ready].number = p, p.next
	p.push(e.now, size, count)
	if p.rate != 0 {
		p.spend(size, e.now)
		if p.gap() > p.smoothed/4 {
			p.ackNow = true // few packets tell what the path is like: none should wait
		}
	}
	p.probing = false
	p.lastSent = e.now // acknowledgements do not put the probe timeout off
	p.unasked += size
	if p.ackNow || !p.mayProceed() || p.unasked >= p.window/4 {
		// Several times a window, or it would leave in one burst every round trip.
		wire.SetAckNow(t.Head)
		p.ackNow, p.unasked = false, 0
	}
	if p.checksum {
		wire.Seal(t.Head, t.Payload)
	}
	e.stats.TxData++
	e.place()
}

// sendAck builds a datagram of acknowledgements only.
func (p *peer) sendAck() bool {
	t := p.ep.nextPacket()
	if t == nil {
		return false
	}
	h := p.header(wire.Ack)
	h.Number = 0
	p.in.report(&h.Acks, p.ep.now)
	p.sendControl(t, h.Put(t.Head))
	return true
}

// sendControl places an unnumbered datagram of n bytes.
func (p *peer) sendControl(t *transport.TxPacket, n int) {
	t.Head = t.Head[:n]
	t.Route = p.route
	t.ECN = transport.NotECT
	if t.Head[2]&wire.FlagChecksum != 0 {
		wire.Seal(t.Head, nil)
	}
	p.ep.burst.numbered[p.ep.burst.ready].peer = nil
	p.ep.stats.TxControl++
	p.ep.place()
}
