//go:build dpdk

package dpdk

import (
	"fmt"
	"net/netip"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
	"github.com/peregrine-rpc/peregrine/transport"
)

// destination is a route: the headers of every packet on it, once the
// neighbour's MAC is known.
type destination struct {
	from, to  netip.AddrPort
	neighbour *netstack.Neighbour
	headers   netstack.Headers
	resolved  bool
	limit     int    // the most bytes of a datagram
	offload   uint64 // flags of packets whose UDP checksum the device computes; 0: it does not
}

// Resolve implements [transport.Transport].
func (q *queue) Resolve(addr netip.AddrPort, source netip.Addr) (transport.Route, error) {
	return q.resolve(addr, source, func(netip.Addr, netip.AddrPort) uint16 { return q.local.Port() })
}

// resolve makes a route from source, if that is an address; port chooses the port
// that it begins at.
func (q *queue) resolve(
	addr netip.AddrPort, source netip.Addr, port func(own netip.Addr, peer netip.AddrPort) uint16,
) (transport.Route, error) {
	if q.closed.Load() {
		return 0, errClosed
	}
	if addr.Port() == 0 {
		return 0, fmt.Errorf("dpdk: %v is no destination: give an address and a port", addr)
	}
	own, neighbour, err := q.port.stack.Resolve(q.port.clock.Load(), addr.Addr(), source, q.emit)
	if err != nil {
		return 0, fmt.Errorf("dpdk: %w", err)
	}
	to := netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	d := destination{from: netip.AddrPortFrom(own, port(own, to)), to: to, neighbour: neighbour}
	q.point(&d)
	return transport.Route(q.routes.Add(d)), nil
}

// point builds the headers of d, if its neighbour is known.
func (q *queue) point(d *destination) {
	mac, known := d.neighbour.MAC()
	if d.resolved = known; known {
		link := netstack.Link{From: q.port.mac, To: mac, VLAN: uint16(q.port.cfg.VLAN)}
		d.headers = netstack.NewHeaders(link, d.from, d.to)
		d.limit = q.port.mtu + d.headers.LinkLen() - d.headers.Len()
		d.offload = q.port.offload(d.to.Addr())
	}
}

// Forget implements [transport.Transport].
func (q *queue) Forget(r transport.Route) {
	if d := q.routes.Get(uint32(r)); d != nil && !q.closed.Load() {
		q.forget(d)
		q.routes.Forget(uint32(r))
	}
}

func (q *queue) forget(d *destination) {
	if from := d.from.Port(); from != q.local.Port() {
		q.port.dialed.drop(from)
	}
	q.port.stack.Forget(d.neighbour)
}

// Reserve implements [transport.Transport].
func (q *queue) Reserve(pkts []transport.TxPacket) int {
	if q.closed.Load() {
		return 0
	}
	b := q.burst
	if int(b.lentCount) < len(pkts) {
		b.lend()
	}
	// No more than half the buffers: a pool that lends all to senders cannot
	// receive, and drivers keep a ring full of what they sent.
	n := min(len(pkts), int(b.lentCount), q.port.cfg.Buffers/2-q.reserved)
	for i := range pkts[:n] {
		b.lentCount--
		pkts[i].Head = view(b.lent[b.lentCount], q.caps.MaxPayload)
	}
	q.reserved += n
	return n
}

// Send implements [transport.Transport].
func (q *queue) Send(pkts []transport.TxPacket) (taken int, err error) {
	if q.closed.Load() {
		return 0, errClosed
	}
	q.full = false
	sent, bytes, calls := 0, 0, 0
	for taken < len(pkts) {
		n := q.build(pkts[taken:])
		if n == 0 {
			q.drop(&pkts[taken])
			taken++
			continue
		}
		k := q.burst.send(n)
		calls++
		for i := range pkts[taken : taken+k] {
			p := &pkts[taken+i]
			bytes += len(p.Head) + len(p.Payload)
			p.Head, p.Payload = nil, nil
		}
		sent += k
		taken += k
		if k < n {
			q.full = true
			break
		}
	}
	q.reserved -= taken
	q.taken += uint64(taken)
	q.stats.txPackets.Add(uint64(sent))
	q.stats.txBytes.Add(uint64(bytes))
	q.stats.txCalls.Add(uint64(calls))
	return taken, nil
}

// build prepares packets from the front until one cannot be sent, and returns
// their number.
func (q *queue) build(pkts []transport.TxPacket) int {
	pkts = pkts[:min(len(pkts), burstSize)]
	if !q.port.up.Load() {
		return 0
	}
	for i := range pkts {
		p := &pkts[i]
		d := q.routes.Get(uint32(p.Route))
		size := len(p.Head) + len(p.Payload)
		if d == nil || !d.resolved || size > d.limit {
			return i
		}
		// The only copy: behind the head, in the mbuf.
		lent := lentOf(p.Head)
		head := d.headers.Len()
		f := frame(lent, head, head+size)
		if len(p.Payload) > 0 {
			copy(f[head+len(p.Head):], p.Payload)
		}
		t := &q.burst.tx[i]
		t.data, t.head, t.len = lent, uint16(head), uint32(len(f))
		d.headers.Put(f, size, uint8(p.ECN))
		if t.flags = d.offload; t.flags != 0 {
			t.l2, t.l3 = uint8(d.headers.LinkLen()), uint8(d.headers.NetworkLen())
		} else {
			d.headers.Complete(f)
		}
	}
	return len(pkts)
}

// drop takes a packet that cannot be sent, and says why in the counters.
func (q *queue) drop(p *transport.TxPacket) {
	d := q.routes.Get(uint32(p.Route))
	switch {
	case d != nil && !d.resolved:
		q.stats.unresolved.Add(1)
	case d != nil && len(p.Head)+len(p.Payload) > d.limit:
		q.stats.tooLarge.Add(1)
	default:
		q.stats.refused.Add(1)
	}
	q.free(mbufOf(lentOf(p.Head)))
	p.Head, p.Payload = nil, nil
}

// free gives an mbuf back to its pool, at the next burst.
func (q *queue) free(mbuf uintptr) {
	b := q.burst
	if b.backCount == burstSize {
		b.giveBack()
	}
	b.back[b.backCount] = mbuf
	b.backCount++
}

// Completed implements [transport.Transport].
func (q *queue) Completed() uint64 { return q.taken }
