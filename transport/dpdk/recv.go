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

// poll takes a burst from the port. It is also where the neighbours get their
// turn: the stack has no thread of its own.
func (q *queue) poll() {
	q.next, q.got = 0, q.burst.receive()
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
	if f.flags&rxChained != 0 {
		q.stats.rxMalformed.Add(1)
		return false
	}
	data, d := f.bytes(), &q.datagram
	switch q.parser.Parse(data, netstack.Checked(f.flags)&rxChecked, d) {
	case netstack.UDP:
		if d.Port != q.local.Port() && !q.port.dialed.has(d.Port) {
			return false
		}
		p.Data, p.From, p.ECN = d.Payload, d.From, transport.ECN(d.ECN)
		p.Waited = 0
		p.Handle = uint64(f.mbuf)
		return true
	case netstack.ForStack:
		q.port.stack.Input(q.ticked, data, q.emit)
	case netstack.NotForUs:
	default:
		q.stats.rxMalformed.Add(1)
	}
	return false
}

// Release implements [transport.Transport].
func (q *queue) Release(pkts []transport.RxPacket) {
	if q.closed.Load() {
		return
	}
	for i := range pkts {
		q.free(uintptr(pkts[i].Handle))
	}
	q.held -= len(pkts)
}
