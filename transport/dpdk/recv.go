//go:build dpdk

package dpdk

import (
	"github.com/peregrine-rpc/peregrine/internal/netstack"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Recv implements [transport.Transport].
func (q *queue) Recv(pkts []transport.RxPacket) (int, error) {
	if q.closed.Load() {
		return 0, errClosed
	}
	if q.next == q.got {
		if q.port.gone.Load() {
			return 0, errGone
		}
		q.poll()
	}
	n, bytes := 0, 0
	for n < len(pkts) && q.next < q.got {
		f := &q.burst.rx[q.next]
		q.next++
		if p := &pkts[n]; q.accept(f, p) {
			bytes += len(p.Data)
			n++
		} else {
			q.free(f.mbuf)
		}
	}
	if n > 0 {
		q.held += n
		q.stats.rxPackets.Add(uint64(n))
		q.stats.rxBytes.Add(uint64(bytes))
	}
	return n, nil
}

// leastAsk is how many packets an idle queue asks for.
const leastAsk = 8

// poll takes a burst from the port. It is also where the neighbours get their
// turn: the stack has no thread of its own.
func (q *queue) poll() {
	q.next, q.got = 0, q.burst.receive(q.ask)
	// vhost allocates as many mbufs as it is asked for, and frees those that it
	// did not need: an empty poll for 64 takes as long as a call.
	q.ask = min(burstSize, max(leastAsk, 2*q.got))
	if q.got > 0 {
		q.stats.rxCalls.Add(1)
	}
	if now := q.port.clock.Load(); now != q.ticked {
		q.ticked = now
		q.port.stack.Tick(now, q.emit)
	}
	if g := q.port.stack.Generation(); g != q.generation {
		q.generation = g
		q.routes.Each(q.point)
	}
}

// accept looks at a frame; true means that p is a datagram for us, lent with the
// frame's memory.
func (q *queue) accept(f *rxFrame, p *transport.RxPacket) bool {
	b, device := f.bytes(), netstack.Checked(f.flags)&rxChecked
	if f.flags&rxChained != 0 {
		q.stats.rxMalformed.Add(1)
		return false
	}
	if payload := q.parser.ParseUsual(b, device); payload != nil {
		u := netstack.Usual(b)
		p.Data, p.From, p.To, p.Port, p.ECN, p.Waited, p.Handle = payload, u.From(), q.usual, u.Port(), transport.ECN(u.ECN()), 0, uint64(f.mbuf)
		return q.isOurs(p.Port)
	}
	return q.acceptUnusual(f, b, device, p)
}

func (q *queue) acceptUnusual(f *rxFrame, b []byte, device netstack.Checked, p *transport.RxPacket) bool {
	d := &q.datagram
	switch q.parser.Parse(b, device, d) {
	case netstack.UDP:
		p.Data, p.From, p.To, p.Port, p.ECN, p.Waited, p.Handle = d.Payload, d.From, d.To, d.Port, transport.ECN(d.ECN), 0, uint64(f.mbuf)
		return q.isOurs(p.Port)
	case netstack.ForStack:
		q.port.stack.Input(q.ticked, b, q.emit)
	case netstack.NotForUs:
	default:
		q.stats.rxMalformed.Add(1)
	}
	return false
}

func (q *queue) isOurs(udp uint16) bool { return udp == q.local.Port() || q.port.dialed.has(udp) }

// Release implements [transport.Transport].
func (q *queue) Release(pkts []transport.RxPacket) {
	if q.closed.Load() {
		return
	}
	q.held -= len(pkts)
	for b := q.burst; len(pkts) > 0; b.giveBack() {
		room := b.back[b.backCount:]
		n := min(len(room), len(pkts))
		for i := range pkts[:n] {
			room[i] = uintptr(pkts[i].Handle)
		}
		b.backCount += uint32(n)
		if pkts = pkts[n:]; len(pkts) == 0 {
			return
		}
	}
}
