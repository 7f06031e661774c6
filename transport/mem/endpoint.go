package mem

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// burst is enough packets to spread the cost of a call thin.
const burst = 64

// endpoint implements transport.Transport.
type endpoint struct {
	net           *network
	addr          netip.AddrPort
	queue, queues int
	size          int // MaxPayload
	poison        bool

	// The owner's alone.
	buffers   []buffer
	fresh     int     // buffers from here on were never used
	free      *buffer // own buffers to lend, the last released first
	arrived   *buffer // received and not lent yet, in order
	lent      []*buffer
	lentFree  []uint32 // indices into lent
	routes    []route
	routeFree []transport.Route
	taken     uint64
	closes    uint64 // of the network, when last looked at
	refused   refusals
	timer     *time.Timer

	// Shared.
	_        [64]byte
	inbox    stack // pushed by senders
	returned stack // own buffers, pushed by receivers
	starved  atomic.Bool
	sleeping atomic.Bool
	closed   atomic.Bool
	wake     chan struct{}
	_        [64]byte // counters change with every burst, the flags seldom
	counters counters
}

// route is a destination; to is nil while nobody is known to listen there.
type route struct {
	addr   netip.AddrPort
	source netip.Addr // that packets leave from; zero: any of the endpoint's
	to     *endpoint
	path   *path
}

// path is the addresses of packets from or to a wildcard.
type path struct {
	from netip.AddrPort
	to   netip.Addr // zero where that is not a wildcard
}

type counters struct {
	rxPackets, rxBytes, rxCalls         atomic.Uint64
	txPackets, txBytes, txCalls         atomic.Uint64
	txTooLarge, txRefused, txUnresolved atomic.Uint64
}

func newEndpoint(n *network, cfg Config, queue, queues int) *endpoint {
	e := &endpoint{
		net:      n,
		addr:     cfg.Address,
		queue:    queue,
		queues:   queues,
		size:     cfg.MaxPayload,
		poison:   cfg.Poison,
		lent:     make([]*buffer, cfg.Buffers),
		lentFree: make([]uint32, cfg.Buffers),
		timer:    time.NewTimer(0),
		wake:     make(chan struct{}, 1),
	}
	e.timer.Stop()
	e.buffers = make([]buffer, cfg.Buffers)
	for i := range e.buffers {
		e.buffers[i].owner = e
	}
	for i := range e.lentFree {
		e.lentFree[i] = uint32(len(e.lentFree) - 1 - i)
	}
	return e
}

// Resolve never fails for want of a listener: one may come.
func (e *endpoint) Resolve(addr netip.AddrPort, source netip.Addr) (transport.Route, error) {
	if e.closed.Load() {
		return 0, transport.ErrClosed
	}
	if !addr.IsValid() || addr.Port() == 0 || addr.Addr().IsUnspecified() {
		return 0, fmt.Errorf("mem: %v is no destination: give an address and a port", addr)
	}
	if source.IsValid() && source != e.addr.Addr() && !covers(e.addr.Addr(), source) {
		return 0, fmt.Errorf("mem: %v is not an address of this transport, which is open on %v", source, e.addr.Addr())
	}
	r := route{addr: addr, source: source}
	e.look(&r)
	if last := len(e.routeFree) - 1; last >= 0 {
		index := e.routeFree[last]
		e.routeFree = e.routeFree[:last]
		e.routes[index] = r
		return index, nil
	}
	e.routes = append(e.routes, r)
	return transport.Route(len(e.routes) - 1), nil
}

func (e *endpoint) Forget(r transport.Route) {
	e.routes[r] = route{}
	e.routeFree = append(e.routeFree, r)
}

// destination returns the endpoint that listens at a route, or nil.
func (e *endpoint) destination(r transport.Route) *endpoint {
	if int(r) >= len(e.routes) {
		return nil
	}
	rt := &e.routes[r]
	if rt.to == nil || rt.to.closed.Load() {
		e.look(rt)
	}
	return rt.to
}

// look finds out who listens at a route's address.
func (e *endpoint) look(rt *route) {
	rt.to, rt.path = e.net.find(rt.addr, e), nil
	from, wild := e.addr, e.addr.Addr().IsUnspecified()
	if rt.to == nil || !wild && !rt.to.addr.Addr().IsUnspecified() {
		return
	}
	if wild {
		from = netip.AddrPortFrom(rt.source, from.Port())
		if !rt.source.IsValid() {
			from = netip.AddrPortFrom(loopback(rt.addr.Addr()), from.Port())
		}
	}
	rt.path = &path{from: from}
	if rt.to.addr.Addr().IsUnspecified() {
		rt.path.to = rt.addr.Addr()
	}
}

// loopback is the usual address of a host that talks to itself, of addr's family.
func loopback(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}

func (e *endpoint) Reserve(pkts []transport.TxPacket) int {
	if e.closed.Load() {
		return 0
	}
	for i := range pkts {
		if e.free == nil && !e.refill() {
			e.starved.Store(true)
			return i
		}
		b := e.free
		e.free = b.next
		b.to = nil
		pkts[i].Head = b.data
	}
	if e.starved.Load() {
		e.starved.Store(false)
	}
	return len(pkts)
}

// refill puts something on the empty free list. It prefers buffers used before,
// which the cache may still hold, to fresh ones.
func (e *endpoint) refill() bool {
	if e.free = e.returned.take(); e.free != nil {
		return true
	}
	if e.fresh < len(e.buffers) {
		if e.buffers[e.fresh].data == nil {
			fill(e.buffers, e.fresh, e.size)
		}
		e.free = &e.buffers[e.fresh]
		e.fresh++
		return true
	}
	if closes := e.net.closes.Load(); closes != e.closes {
		e.closes = closes
		e.reclaim()
	}
	return e.free != nil
}

// reclaim takes back the buffers that lie with closed endpoints.
func (e *endpoint) reclaim() {
	var lost []*buffer
	for i := range e.buffers {
		if b := &e.buffers[i]; b.to != nil && b.to.closed.Load() {
			lost = append(lost, b)
		}
	}
	// What a receiver released before it closed has come back by now, and must
	// not be taken twice.
	e.free = e.returned.take()
	for b := e.free; b != nil; b = b.next {
		b.to = nil
	}
	for _, b := range lost {
		if b.to != nil {
			b.to = nil
			b.next, e.free = e.free, b
		}
	}
}

// lentAs returns the buffer whose data Reserve lent and head is a front part
// of, or nil. See newBuffers.
func (e *endpoint) lentAs(head []byte) *buffer {
	i := cap(head) - e.size - 1
	if uint(i) >= uint(len(e.buffers)) {
		return nil
	}
	return &e.buffers[i]
}

func (e *endpoint) Send(pkts []transport.TxPacket) (int, error) {
	if e.closed.Load() {
		return 0, transport.ErrClosed
	}
	var (
		to             *endpoint
		via            *path
		most           int     // bytes that a packet to it may have; less than 0: there is none
		newest, oldest *buffer // the chain for to
		packets, bytes uint64
	)
	for i := range pkts {
		p := &pkts[i]
		if i == 0 || p.Route != pkts[i-1].Route {
			if newest != nil {
				deliver(to, newest, oldest)
				newest, oldest = nil, nil
			}
			most = -1
			if to = e.destination(p.Route); to != nil {
				via, most = e.routes[p.Route].path, min(e.size, to.size)
			}
		}
		size := len(p.Head) + len(p.Payload)
		b := e.lentAs(p.Head)
		if b == nil || size > most {
			e.drop(p, b, to)
			continue
		}
		p.Head = nil
		if p.Payload != nil {
			copy(b.data[size-len(p.Payload):], p.Payload)
			p.Payload = nil
		}
		b.size, b.ecn, b.to, b.path = size, p.ECN, to, via
		b.next, newest = newest, b
		if oldest == nil {
			oldest = b
		}
		packets++
		bytes += uint64(size)
	}
	if newest != nil {
		deliver(to, newest, oldest)
	}
	e.taken += uint64(len(pkts))
	if packets > 0 {
		e.counters.txPackets.Add(packets)
		e.counters.txBytes.Add(bytes)
		e.counters.txCalls.Add(1)
	}
	return len(pkts), nil
}

// drop counts a packet that is not sent, of a buffer if it is of one.
func (e *endpoint) drop(p *transport.TxPacket, b *buffer, to *endpoint) {
	switch {
	case b == nil:
		e.counters.txRefused.Add(1)
	case to == nil:
		e.counters.txUnresolved.Add(1)
		if int(p.Route) < len(e.routes) && e.routes[p.Route].addr.IsValid() {
			e.refused.add(e.routes[p.Route].addr, b.data[:min(len(p.Head), len(b.data))], p.Payload)
		}
		b.next, e.free = e.free, b
	default:
		e.counters.txTooLarge.Add(1)
		b.next, e.free = e.free, b
	}
	p.Head, p.Payload = nil, nil
}

// deliver hands a chain, newest first, to an endpoint and wakes it.
func deliver(to *endpoint, newest, oldest *buffer) {
	if to.inbox.push(newest, oldest) && to.sleeping.Load() {
		to.Wake()
	}
}

// Completed equals the number taken: payload is copied.
func (e *endpoint) Completed() uint64 { return e.taken }

func (e *endpoint) Recv(pkts []transport.RxPacket) (int, error) {
	if e.closed.Load() {
		return 0, transport.ErrClosed
	}
	var n int
	var bytes uint64
	for n < len(pkts) && len(e.lentFree) > 0 {
		b := e.arrived
		if b == nil {
			if b = reversed(e.inbox.take()); b == nil {
				break
			}
		}
		e.arrived = b.next
		slot := e.lentFree[len(e.lentFree)-1]
		e.lentFree = e.lentFree[:len(e.lentFree)-1]
		e.lent[slot] = b
		p := &pkts[n]
		p.Data = b.data[:b.size:b.size]
		p.From, p.To = b.owner.addr, netip.Addr{}
		if b.path != nil {
			p.From, p.To = b.path.from, b.path.to
		}
		p.ECN = b.ecn
		p.Handle = uint64(slot)
		bytes += uint64(b.size)
		n++
	}
	if n > 0 {
		e.counters.rxPackets.Add(uint64(n))
		e.counters.rxBytes.Add(bytes)
		e.counters.rxCalls.Add(1)
	}
	return n, nil
}

func (e *endpoint) Release(pkts []transport.RxPacket) {
	if e.closed.Load() {
		return
	}
	var first, last *buffer
	for i := range pkts {
		slot := pkts[i].Handle
		if slot >= uint64(len(e.lent)) || e.lent[slot] == nil {
			continue // released before
		}
		b := e.lent[slot]
		e.lent[slot] = nil
		pkts[i].Data = nil // the caller's slice may live longer than the sender
		e.lentFree = append(e.lentFree, uint32(slot))
		if e.poison {
			for i := range b.data {
				b.data[i] = 0xDB
			}
		}
		if last != nil && last.owner != b.owner {
			giveBack(first, last)
			first, last = nil, nil
		}
		b.next, first = first, b
		if last == nil {
			last = b
		}
	}
	if first != nil {
		giveBack(first, last)
	}
}

// giveBack returns a chain of buffers to the one who owns all of them, and
// wakes it if that is what it waits for.
func giveBack(first, last *buffer) {
	owner := first.owner
	if owner.closed.Load() {
		return
	}
	owner.returned.push(first, last)
	if owner.starved.Load() && owner.sleeping.Load() {
		owner.Wake()
	}
}

// NextUnreachable implements transport.UnreachableReporter.
func (e *endpoint) NextUnreachable() (transport.Unreachable, bool) { return e.refused.next() }

// ready says that Recv would return something, Reserve again, or a report is there.
func (e *endpoint) ready() bool {
	return e.refused.count > 0 || len(e.lentFree) > 0 && (e.arrived != nil || !e.inbox.empty()) || e.relieved()
}

// relieved says that Reserve, which lacked buffers, has some again.
func (e *endpoint) relieved() bool { return e.starved.Load() && !e.returned.empty() }

func (e *endpoint) Wait(timeout time.Duration) error {
	// Whoever pushes looks at sleeping afterwards, and we look at the stacks
	// after setting it: one of us sees the other.
	e.sleeping.Store(true)
	switch {
	case e.closed.Load():
	case timeout == 0 || e.ready():
		select {
		case <-e.wake:
		default:
		}
	case timeout < 0:
		<-e.wake
	default:
		e.timer.Reset(timeout)
		select {
		case <-e.wake:
		case <-e.timer.C:
		}
		e.timer.Stop()
	}
	e.sleeping.Store(false)
	if e.closed.Load() {
		return transport.ErrClosed
	}
	if e.relieved() {
		e.starved.Store(false) // said once: an owner with nothing to send may sleep
	}
	return nil
}

func (e *endpoint) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *endpoint) LocalAddr() netip.AddrPort { return e.addr }

func (e *endpoint) Caps() transport.Caps {
	return transport.Caps{
		Backend:    name,
		MaxPayload: e.size,
		RxBatch:    burst,
		TxBatch:    burst,
		RxBuffers:  len(e.lent),
		Queue:      e.queue,
		Queues:     e.queues,
		ZeroCopyRx: true,
		ECN:        true,
		Integrity:  true,
	}
}

func (e *endpoint) Stats() transport.Stats {
	c := &e.counters
	return transport.Stats{
		RxPackets:    c.rxPackets.Load(),
		RxBytes:      c.rxBytes.Load(),
		RxCalls:      c.rxCalls.Load(),
		TxPackets:    c.txPackets.Load(),
		TxBytes:      c.txBytes.Load(),
		TxCalls:      c.txCalls.Load(),
		TxTooLarge:   c.txTooLarge.Load(),
		TxRefused:    c.txRefused.Load(),
		TxUnresolved: c.txUnresolved.Load(),
	}
}

func (e *endpoint) Close() error {
	if e.closed.CompareAndSwap(false, true) {
		e.net.remove(e)
		e.Wake()
	}
	return nil
}
