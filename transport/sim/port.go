package sim

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Port is one queue of one port of a host: a transport.Transport. It may have
// no actor, and be used by hand.
//
// What Send takes waits in the host's network card, which reads payload memory
// when the datagram leaves. Release overwrites what was received with 0xDD.
// Beside the contract a port has misbehaviour to order: see Stuck, Full,
// Withhold, Linger, Fail and Deliver.
type Port struct {
	host *Host
	task *task // or nil
	addr netip.AddrPort
	caps transport.Caps

	routes  []netip.AddrPort
	forgot  []transport.Route
	heads   [][]byte // to lend
	made    int      // heads in all
	leaving list     // what Send took and the card has not sent
	waiting int      // their number
	latest  time.Duration
	left    uint64
	full    bool // Send did not take all
	inbox   list
	inBytes int // in inbox
	held    int // lent by Recv
	reports []transport.Unreachable
	stats   transport.Stats
	closed  bool

	linger   time.Duration
	withheld uint64
	stuck    bool
	jammed   bool
	failure  error
}

var _ transport.Transport = (*Port)(nil)

const (
	batch     = 64
	rxBuffers = 4096
)

// poison is what overwrites memory that nobody may look at any more.
var poison = bytes.Repeat([]byte{0xDD}, 1<<16)

func newPort(h *Host, number uint16, queue, queues int) *Port {
	return &Port{
		host: h,
		addr: netip.AddrPortFrom(h.addr, number),
		caps: transport.Caps{
			Backend:      "sim",
			MaxPayload:   h.out.maxPayload,
			RxBatch:      batch,
			TxBatch:      batch,
			RxBuffers:    rxBuffers,
			Queue:        queue,
			Queues:       queues,
			ZeroCopyRx:   true,
			ZeroCopyTx:   true,
			ECN:          true,
			Integrity:    !h.cfg.NoChecksum,
			RxTimestamps: true,
			RecvBuffer:   h.cfg.RecvBuffer,
			LinkRate:     h.out.rate,
		},
	}
}

// Resolve takes any IPv4 address: that nobody is there shows when sending.
func (p *Port) Resolve(addr netip.AddrPort, _ netip.Addr) (transport.Route, error) {
	if p.closed {
		return 0, transport.ErrClosed
	}
	if !addr.Addr().Is4() || addr.Port() == 0 {
		return 0, fmt.Errorf("sim: %v is no destination: give the IPv4 address of a host and a port", addr)
	}
	if last := len(p.forgot) - 1; last >= 0 {
		r := p.forgot[last]
		p.forgot = p.forgot[:last]
		p.routes[r] = addr
		return r, nil
	}
	p.routes = append(p.routes, addr)
	return transport.Route(len(p.routes) - 1), nil
}

// Forget implements transport.Transport.
func (p *Port) Forget(r transport.Route) {
	p.routes[r] = netip.AddrPort{}
	p.forgot = append(p.forgot, r)
}

// Reserve implements transport.Transport. There are HostConfig.SendQueue
// buffers.
func (p *Port) Reserve(pkts []transport.TxPacket) int {
	if p.closed || p.stuck {
		return 0
	}
	for i := range pkts {
		last := len(p.heads) - 1
		switch {
		case last >= 0:
			pkts[i].Head = p.heads[last]
			p.heads = p.heads[:last]
		case p.made < p.host.cfg.SendQueue:
			p.made++
			pkts[i].Head = make([]byte, p.caps.MaxPayload)
		default:
			return i
		}
	}
	return len(pkts)
}

// Send implements transport.Transport.
func (p *Port) Send(pkts []transport.TxPacket) (int, error) {
	if p.closed {
		return 0, transport.ErrClosed
	}
	if p.stuck || p.jammed {
		return 0, nil
	}
	n := min(len(pkts), p.host.cfg.SendQueue-p.waiting)
	p.full = n < len(pkts)
	for i := range pkts[:n] {
		p.take(&pkts[i])
	}
	if n > 0 {
		p.stats.TxCalls++
		p.host.transmit()
	}
	return n, nil
}

// take puts one packet in the network card.
func (p *Port) take(tx *transport.TxPacket) {
	net := p.host.net
	size := len(tx.Head) + len(tx.Payload)
	lent := cap(tx.Head) >= p.caps.MaxPayload
	to := p.destination(tx.Route)
	var pkt *Packet
	switch {
	case !lent:
		pkt = net.newPacket(0)
		pkt.refused = &p.stats.TxRefused
	case size > p.caps.MaxPayload:
		pkt = net.newPacket(0)
		pkt.refused = &p.stats.TxTooLarge
	default:
		pkt = net.newPacket(len(tx.Head))
		pkt.Data = pkt.buf[:copy(pkt.buf, tx.Head)]
		pkt.payload = tx.Payload
		pkt.From, pkt.ECN, pkt.To = p.addr, tx.ECN, to
		pkt.to = net.hostAt(to.Addr())
		if pkt.to == nil || !p.host.reaches(pkt.to) {
			pkt.refused = &p.stats.TxUnresolved
		}
	}
	if lent {
		copy(tx.Head, poison)
		p.heads = append(p.heads, tx.Head[:p.caps.MaxPayload])
	}
	tx.Head, tx.Payload = nil, nil
	net.lastID++
	pkt.ID = net.lastID
	pkt.at = net.now
	if p.task != nil {
		pkt.at = p.task.spend(1)
	}
	p.latest = max(p.latest, pkt.at+p.linger)
	pkt.at = p.latest
	p.leaving.push(pkt)
	p.waiting++
}

func (p *Port) destination(r transport.Route) netip.AddrPort {
	if int(r) >= len(p.routes) {
		return netip.AddrPort{}
	}
	return p.routes[r]
}

// leave sends the packet that has waited longest.
func (p *Port) leave() {
	pkt := p.leaving.pop()
	p.waiting--
	p.left++
	if p.full && p.waiting <= p.host.cfg.SendQueue/2 {
		p.full = false
		p.wake()
	}
	if p.closed && p.leaving.head == nil {
		p.host.forget(p)
	}
	if pkt.refused != nil {
		*pkt.refused++
		p.host.drop(pkt, "refused")
		return
	}
	pkt = p.host.net.gather(pkt)
	p.stats.TxPackets++
	p.stats.TxBytes += uint64(len(pkt.Data))
	p.host.out.enter(pkt)
}

// Completed implements transport.Transport.
func (p *Port) Completed() uint64 { return p.left - min(p.left, p.withheld) }

// arrive takes in a datagram.
func (p *Port) arrive(pkt *Packet) {
	switch {
	case pkt.damaged && p.caps.Integrity:
		p.stats.RxMalformed++
		p.host.drop(pkt, "damaged")
	case p.caps.RecvBuffer > 0 && p.inBytes+len(pkt.Data) > p.caps.RecvBuffer:
		p.stats.RxOverflow++
		p.host.drop(pkt, "no-room")
	default:
		p.host.trace("deliver", pkt)
		p.inBytes += len(pkt.Data)
		p.inbox.push(pkt)
		p.wake()
	}
}

func (p *Port) wake() {
	if p.task != nil {
		p.task.wake()
	}
}

// Recv implements transport.Transport.
func (p *Port) Recv(pkts []transport.RxPacket) (int, error) {
	if p.closed {
		return 0, transport.ErrClosed
	}
	if p.failure != nil {
		return 0, p.failure
	}
	n, now := 0, p.host.net.now
	for n < len(pkts) && p.inbox.head != nil && p.held < rxBuffers {
		pkt := p.inbox.pop()
		pkt.holder = p
		pkts[n] = transport.RxPacket{Data: pkt.Data, From: pkt.From, ECN: pkt.ECN, Waited: now - pkt.at, Handle: uint64(pkt.index)}
		p.inBytes -= len(pkt.Data)
		p.stats.RxPackets++
		p.stats.RxBytes += uint64(len(pkt.Data))
		p.held++
		n++
	}
	if n > 0 {
		p.stats.RxCalls++
		if p.task != nil {
			p.task.spend(n)
		}
	}
	return n, nil
}

// Release implements transport.Transport. To release what is not held is an
// error of the host: see [Host.Err].
func (p *Port) Release(pkts []transport.RxPacket) {
	net := p.host.net
	for i := range pkts {
		handle := pkts[i].Handle
		if handle >= uint64(len(net.packets)) || net.packets[handle].holder != p {
			p.host.fail(fmt.Errorf("port %d: a datagram was released that is not held", p.addr.Port()))
			continue
		}
		pkt := net.packets[handle]
		pkt.holder = nil
		copy(pkt.Data, poison)
		net.free(pkt)
		p.held--
	}
	if p.inbox.head != nil {
		p.wake() // Recv may have stopped at RxBuffers
	}
}

// Wait returns at once: no time passes while a program runs.
func (p *Port) Wait(time.Duration) error {
	if p.closed {
		return transport.ErrClosed
	}
	return nil
}

// Wake has the port's actor polled. Unlike with other transports it has to be
// called by the network's goroutine.
func (p *Port) Wake() { p.wake() }

// LocalAddr implements transport.Transport.
func (p *Port) LocalAddr() netip.AddrPort { return p.addr }

// Caps implements transport.Transport. MaxPayload is what fits the MTU of the
// host's link.
func (p *Port) Caps() transport.Caps { return p.caps }

// Stats implements transport.Transport. Unlike with other transports it has to
// be called by the network's goroutine.
func (p *Port) Stats() transport.Stats { return p.stats }

// Close implements transport.Transport. What Send took still goes out, and its
// payload is read now.
func (p *Port) Close() error {
	p.close()
	if p.task != nil {
		p.task.leave()
	}
	return nil
}

func (p *Port) close() {
	if p.closed {
		return
	}
	p.closed = true
	p.host.note("close")
	waiting := p.leaving
	p.leaving = list{}
	for pkt := waiting.pop(); pkt != nil; pkt = waiting.pop() {
		p.leaving.push(p.host.net.gather(pkt))
	}
	for pkt := p.inbox.pop(); pkt != nil; pkt = p.inbox.pop() {
		p.host.drop(pkt, "closed")
	}
	p.host.withdraw(p)
	if p.leaving.head == nil {
		p.host.forget(p)
	}
}

// withdraw frees the number of a port whose queues are all closed.
func (h *Host) withdraw(p *Port) {
	s := h.find(p.addr.Port())
	s.queues = slices.DeleteFunc(s.queues, func(q *Port) bool { return q == p })
	if len(s.queues) == 0 {
		h.services = slices.DeleteFunc(h.services, func(o *service) bool { return o == s })
	}
}

// forget drops a closed port that has nothing left to send.
func (h *Host) forget(p *Port) {
	h.ports = slices.DeleteFunc(h.ports, func(q *Port) bool { return q == p })
}
