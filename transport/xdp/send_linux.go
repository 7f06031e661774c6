package xdp

import (
	"fmt"
	"net/netip"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
	"github.com/peregrine-rpc/peregrine/internal/xsk"
	"github.com/peregrine-rpc/peregrine/transport"
)

// destination is a route: the headers of every packet on it, once the neighbour's
// MAC is known.
type destination struct {
	path     *path
	dialed   *dialed // the port that it begins at, unless that is the queue's own
	from, to netip.AddrPort
	headers  netstack.Headers
	resolved bool
	limit    int // the most bytes of a datagram
}

// Resolve implements [transport.Transport].
func (q *queue) Resolve(addr netip.AddrPort, source netip.Addr) (transport.Route, error) {
	return q.resolve(addr, source, func(netip.Addr, netip.AddrPort) *dialed { return nil })
}

// resolve makes a route; dial chooses where it begins.
func (q *queue) resolve(addr netip.AddrPort, source netip.Addr, dial func(own netip.Addr, peer netip.AddrPort) *dialed) (transport.Route, error) {
	if q.closed.Load() {
		return 0, errClosed
	}
	if addr.Port() == 0 {
		return 0, fmt.Errorf("xdp: %v is no destination: give an address and a port", addr)
	}
	to := netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port())
	path, err := q.port.resolve(to.Addr(), source.Unmap().WithZone(""))
	if err != nil {
		return 0, err
	}
	d := destination{path: path, from: netip.AddrPortFrom(path.from, q.local.Port()), to: to, dialed: dial(path.from, to)}
	if d.dialed != nil {
		d.from = netip.AddrPortFrom(path.from, d.dialed.port)
	}
	q.point(&d)
	return transport.Route(q.routes.Add(d)), nil
}

// point builds the headers of d, if its neighbour is known.
func (q *queue) point(d *destination) {
	mac, known := d.path.hop.Load().MAC()
	if d.resolved = known; known {
		link := netstack.Link{From: q.mac, To: mac, VLAN: q.port.device.vlan}
		d.headers = netstack.NewHeaders(link, d.from, d.to)
		d.limit = min(q.caps.MaxPayload, q.mtu+d.headers.LinkLen()-d.headers.Len())
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
	q.port.forget(d.path)
	if d.dialed != nil {
		q.port.hangUp(d.dialed)
	}
}

// Reserve implements [transport.Transport].
func (q *queue) Reserve(pkts []transport.TxPacket) int {
	if q.closed.Load() {
		return 0
	}
	if q.txFrames.Len() < len(pkts) {
		q.reap()
	}
	n := min(len(pkts), q.txFrames.Len())
	for i := range pkts[:n] {
		pkts[i].Head = q.umem.Bytes(q.txFrames.Take()+headroom, q.caps.MaxPayload)
	}
	q.reserved += n
	return n
}

// Send implements [transport.Transport].
func (q *queue) Send(pkts []transport.TxPacket) (taken int, err error) {
	switch {
	case q.closed.Load():
		return 0, errClosed
	case q.port.gone.Load():
		return 0, errGone
	}
	q.full = false
	if q.inFlight > 0 {
		q.reap()
	}
	tx := &q.socket.TX
	for room := tx.Room(); taken < len(pkts); taken++ {
		p := &pkts[taken]
		d := q.routes.Get(uint32(p.Route))
		size := len(p.Head) + len(p.Payload)
		if q.unfit(d, size) {
			q.txFrames.Put(q.umem.Address(p.Head))
			p.Head, p.Payload = nil, nil
			continue
		}
		if room < q.memory.layout.run {
			tx.Publish()
			q.kick()
			if room = tx.Room(); room < q.memory.layout.run {
				q.full = true
				break
			}
		}
		room -= q.post(q.build(p, d, size), size)
		p.Head, p.Payload = nil, nil
	}
	tx.Publish()
	q.kick()
	q.reserved -= taken
	q.taken += uint64(taken)
	return taken, nil
}

// build completes the frame that a packet's Head lies in.
func (q *queue) build(p *transport.TxPacket, d *destination, size int) xsk.Desc {
	head := d.headers.Len()
	addr := q.umem.Address(p.Head) - uint64(head)
	if len(p.Payload) > 0 {
		copy(q.umem.Bytes(addr, head+size)[head+len(p.Head):], p.Payload) // the only copy
	}
	return q.complete(xsk.Desc{Addr: addr, Len: uint32(head + size)}, d, size, p.ECN)
}

// udpChecksum is where in the UDP header its checksum is.
const udpChecksum = 6

// complete puts headers and checksums into a frame.
func (q *queue) complete(desc xsk.Desc, d *destination, size int, ecn transport.ECN) xsk.Desc {
	frame := q.umem.Bytes(desc.Addr, int(desc.Len))
	d.headers.Put(frame, size, uint8(ecn))
	if q.offload {
		h := &d.headers
		q.umem.RequestChecksum(&desc, h.LinkLen()+h.NetworkLen(), udpChecksum)
	} else {
		d.headers.Complete(frame)
	}
	return desc
}

// post puts a frame into the TX ring, and returns how many entries it took.
func (q *queue) post(d xsk.Desc, payload int) (entries int) {
	if q.pieces.left != nil {
		return q.postPieces(d, payload)
	}
	q.enter(d, pending{payload: uint16(payload)})
	return 1
}

// enter puts an entry into the TX ring.
func (q *queue) enter(d xsk.Desc, p pending) {
	q.socket.TX.Put(d)
	q.pending[q.put&uint32(len(q.pending)-1)] = p
	q.put++
	q.inFlight++
}

// unfit says of a datagram that it cannot be sent, and why in the counters.
func (q *queue) unfit(d *destination, size int) bool {
	switch {
	case d != nil && d.resolved && size <= d.limit && q.up:
		return false
	case d != nil && d.resolved && size > d.limit:
		q.stats.tooLarge.Add(1)
	case d != nil && !d.resolved:
		q.stats.unresolved.Add(1)
	default:
		q.stats.refused.Add(1)
	}
	return true
}

// Completed implements [transport.Transport].
func (q *queue) Completed() uint64 { return q.taken }
