package core

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	require.TestingT
	Helper()
}

// network is a world of endpoints in virtual time: every datagram takes delay,
// unless drop says otherwise.
type network struct {
	t     tester
	now   time.Duration
	delay time.Duration
	rand  *rand.Rand
	// drop decides the fate of a datagram: false delivers it, with the changes
	// that drop made to it.
	drop func(from, to netip.AddrPort, data []byte) bool
	// late is by how much longer a datagram takes than others.
	late func(from, to netip.AddrPort, data []byte) time.Duration
	// jitter delays each datagram by up to so much more, and so reorders.
	jitter        time.Duration
	duplicate     float64
	mtu           int  // of the ports
	damages       bool // the ports vouch for nothing
	receiveBuffer int
	marks         func() transport.ECN

	nodes    []*node
	flight   flights
	order    int
	births   uint64 // of endpoints
	datagram int    // sent in all
}

// node is an endpoint and the network port it is on.
type node struct {
	*Endpoint
	*port
}

type port struct {
	net           *network
	addr          netip.AddrPort
	queue, queues int
	inbox         []transport.RxPacket
	injected      []transport.RxPacket // by the endpoints of other queues
	routes        []netip.AddrPort
	taken         uint64
	// linger is for how long the payload of a packet is read after Send, before
	// it leaves, as by a zero-copy transport; withheld is how many packets that have
	// left are not reported by Completed yet.
	linger   time.Duration
	leaving  []leaving
	withheld uint64
	stuck    bool  // takes nothing
	full     bool  // lends heads, but takes nothing
	stamp    func(*transport.RxPacket)
	broken   error // what Recv fails with
	closed   bool
}

// leaving is a packet that Send took and that has not left.
type leaving struct {
	at            time.Duration
	to            netip.AddrPort
	head, payload []byte
	ecn           transport.ECN
}

type flight struct {
	at    time.Duration
	order int
	to    *port
	from  netip.AddrPort
	data  []byte
	ecn   transport.ECN
}

type flights []flight

func (f flights) Len() int { return len(f) }
func (f flights) Less(i, j int) bool {
	return f[i].at < f[j].at || f[i].at == f[j].at && f[i].order < f[j].order
}
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)   { *f = append(*f, x.(flight)) }
func (f *flights) Pop() any {
	old := *f
	x := old[len(old)-1]
	*f = old[:len(old)-1]
	return x
}

func newNetwork(t tester, seed uint64) *network {
	return &network{t: t, now: time.Second, delay: 20 * time.Microsecond, mtu: 1472,
		rand: rand.New(rand.NewPCG(seed, 0))}
}

// loss drops datagrams with probability p.
func (n *network) loss(p float64) {
	n.drop = func(_, _ netip.AddrPort, _ []byte) bool { return n.rand.Float64() < p }
}

func (d *node) Stats() Stats { return d.Endpoint.Stats() }
func (d *node) Close() error { return d.Endpoint.Close() }

func (n *network) add(cfg Config) *node {
	d := &node{port: &port{net: n, addr: netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:1", len(n.nodes)+1))}}
	n.nodes = append(n.nodes, d)
	d.restart(cfg)
	return d
}

// addQueues adds the endpoints of several queues of one address, between which
// the network chooses at random.
func (n *network) addQueues(cfg Config, count int) []*node {
	var all []*node
	for queue := range count {
		cfg := cfg
		cfg.Misrouted = func(to int, rx *transport.RxPacket) {
			for _, d := range all {
				if d.port.queue != queue && (d.port.queue == to || to < 0) {
					copied := *rx
					copied.Data = bytes.Clone(rx.Data)
					d.port.injected = append(d.port.injected, copied)
				}
			}
		}
		d := &node{port: &port{net: n, addr: netip.MustParseAddrPort("10.0.1.1:1"), queue: queue, queues: count}}
		n.nodes = append(n.nodes, d)
		all = append(all, d)
		d.restart(cfg)
	}
	return all
}

// restart replaces the endpoint by a new one at the same address, as if the
// process had been killed.
func (d *node) restart(cfg Config) {
	if cfg.Seed == ([32]byte{}) {
		d.net.births++
		binary.LittleEndian.PutUint64(cfg.Seed[:], d.net.births)
	}
	*d.port = port{net: d.net, addr: d.addr, queue: d.port.queue, queues: d.queues}
	e, err := New(cfg, d.port, d.net.now)
	require.NoError(d.net.t, err)
	d.Endpoint = e
}

// react lets everybody do what there is to do now.
func (n *network) react() {
	for _, d := range n.nodes {
		for _, rx := range d.port.injected {
			d.Inject(&rx)
		}
		d.port.injected = nil
		for !d.port.closed {
			progress, err := d.Poll(n.now)
			require.NoError(n.t, err)
			if !progress {
				break
			}
		}
	}
}

// advance moves to the next event; false means that there is none before limit.
func (n *network) advance(limit time.Duration) bool {
	next, ok := time.Duration(0), false
	if len(n.flight) > 0 {
		next, ok = n.flight[0].at, true
	}
	for _, d := range n.nodes {
		if d.port.closed {
			continue
		}
		if at, has := d.NextDeadline(); has && (!ok || at < next) {
			next, ok = at, true
		}
		if len(d.leaving) > 0 && (!ok || d.leaving[0].at < next) {
			next, ok = d.leaving[0].at, true
		}
	}
	if !ok || next > limit {
		return false
	}
	n.now = max(n.now, next)
	for _, d := range n.nodes {
		for len(d.leaving) > 0 && d.leaving[0].at <= n.now {
			d.leave(d.leaving[0])
			d.leaving = d.leaving[1:]
		}
	}
	for len(n.flight) > 0 && n.flight[0].at <= n.now {
		f := heap.Pop(&n.flight).(flight)
		f.to.inbox = append(f.to.inbox, transport.RxPacket{Data: f.data, From: f.from, ECN: f.ecn})
	}
	return true
}

// run lets d pass.
func (n *network) run(d time.Duration) {
	limit := n.now + d
	for n.react(); n.advance(limit); n.react() {
	}
	n.now = limit
	for _, d := range n.nodes {
		d.Advance(n.now)
	}
}

// until runs until done, and fails the test if that takes more than a minute of
// virtual time.
func (n *network) until(done func() bool) {
	n.t.Helper()
	limit := n.now + time.Minute
	for n.react(); !done(); n.react() {
		require.True(n.t, n.advance(limit), "nothing happens any more, or a minute has passed")
	}
}

func (d *port) find(addr netip.AddrPort) *port {
	var found []*port
	for _, o := range d.net.nodes {
		if o.addr == addr {
			found = append(found, o.port)
		}
	}
	switch len(found) {
	case 0:
		return nil
	case 1:
		return found[0]
	}
	return found[d.net.rand.IntN(len(found))] // queues of one address
}

// The transport.

var _ transport.Transport = (*port)(nil)

func (d *port) Resolve(addr netip.AddrPort) (transport.Route, error) {
	d.routes = append(d.routes, addr)
	return transport.Route(len(d.routes) - 1), nil
}

func (d *port) Forget(transport.Route) {}

func (d *port) Reserve(pkts []transport.TxPacket) int {
	if d.stuck {
		return 0
	}
	for i := range pkts {
		pkts[i].Head = make([]byte, d.net.mtu)
	}
	return len(pkts)
}

func (d *port) Send(pkts []transport.TxPacket) (int, error) {
	if d.stuck || d.full {
		return 0, nil
	}
	for i := range pkts {
		p := &pkts[i]
		l := leaving{d.net.now + d.linger, d.routes[p.Route], append([]byte(nil), p.Head...), p.Payload, p.ECN}
		if d.linger > 0 {
			d.leaving = append(d.leaving, l)
		} else {
			d.leave(l)
		}
		*p = transport.TxPacket{Route: p.Route}
	}
	return len(pkts), nil
}

// leave puts a packet on the network. From here on its payload is not read.
func (d *port) leave(l leaving) {
	d.taken++
	data := append(l.head, l.payload...)
	d.transmit(l.to, bytes.Clone(data), l.ecn)
	if d.net.rand.Float64() < d.net.duplicate {
		d.transmit(l.to, data, l.ecn)
	}
}

func (d *port) transmit(to netip.AddrPort, data []byte, ecn transport.ECN) {
	n := d.net
	n.datagram++
	o := d.find(to)
	if o == nil || o.closed || len(data) > n.mtu || n.drop != nil && n.drop(d.addr, to, data) {
		return
	}
	at := n.now + n.delay
	if n.jitter > 0 {
		at += time.Duration(n.rand.Int64N(int64(n.jitter)))
	}
	if n.late != nil {
		at += n.late(d.addr, to, data)
	}
	if n.marks != nil && ecn != transport.NotECT {
		ecn = n.marks()
	}
	n.order++
	heap.Push(&n.flight, flight{at, n.order, o, d.addr, data, ecn})
}

func (d *port) Completed() uint64 { return d.taken - min(d.taken, d.withheld) }

func (d *port) Recv(pkts []transport.RxPacket) (int, error) {
	if d.broken != nil {
		return 0, d.broken
	}
	n := copy(pkts, d.inbox)
	d.inbox = d.inbox[n:]
	if d.stamp != nil {
		for i := range pkts[:n] {
			d.stamp(&pkts[i])
		}
	}
	return n, nil
}

func (d *port) Release(pkts []transport.RxPacket) {
	for i := range pkts {
		for j := range pkts[i].Data {
			pkts[i].Data[j] = 0xDD // poison: nobody may look any more
		}
	}
}

func (d *port) Wait(time.Duration) error  { return nil }
func (d *port) Wake()                     {}
func (d *port) LocalAddr() netip.AddrPort { return d.addr }
func (d *port) Stats() transport.Stats    { return transport.Stats{} }
func (d *port) Close() error              { d.closed = true; return nil }

func (d *port) Caps() transport.Caps {
	return transport.Caps{Backend: "test", MaxPayload: d.net.mtu, RxBatch: 64, TxBatch: 64, Queue: d.queue, Queues: d.queues, RecvBuffer: d.net.receiveBuffer, Integrity: !d.net.damages, ECN: true}
}
