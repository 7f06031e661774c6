package core

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	require.TestingT
	Helper()
	Name() string
}

// headers are those of IPv4 and UDP, in bytes.
const headers = 28

// network is a simulated network of endpoints, one switch between all of them.
// A datagram takes delay, and longer only where a test asks for it.
type network struct {
	*sim.Network
	t       tester
	middle  *sim.Switch
	nodes   []*node
	wires   []*sim.Pipe // from each host to the switch
	births  uint64      // of endpoints
	sent    int         // datagrams
	secrets []*secret

	// What nodes that are added from now on find.
	delay         time.Duration // between two hosts
	mtu           int           // of the ports: payload bytes of a datagram
	damages       bool          // the ports vouch for nothing
	receiveBuffer int
	unreachable   bool                                // hosts say when nobody has a port open
	link          sim.LinkConfig                      // the rest of their links' settings
	over          func(*sim.Port) transport.Transport // what an endpoint sees of its port

	// drop decides the fate of a datagram: false delivers it, with the changes
	// that drop made to it.
	drop func(from, to netip.AddrPort, data []byte) bool
	// late is by how much longer a datagram takes than others.
	late func(from, to netip.AddrPort, data []byte) time.Duration
}

// seeds is how many of count tell a story in which a short run, to look for races,
// finds them all.
func seeds(count uint64) uint64 {
	if testing.Short() {
		return min(count, 2)
	}
	return count
}

// node is an endpoint, the port it is on and the port's host.
type node struct {
	*Endpoint
	port *sim.Port
	host *sim.Host
	addr netip.AddrPort
	net  *network
}

func newNetwork(t tester, seed uint64) *network {
	n := &network{Network: sim.New(seed), t: t, delay: 20 * time.Microsecond, mtu: 1472}
	n.middle = n.Switch("middle")
	n.over = func(p *sim.Port) transport.Transport { return p }
	return n
}

// plug adds a host.
func (n *network) plug() *sim.Host {
	h := n.Host(fmt.Sprintf("host%d", len(n.Hosts())+1), sim.HostConfig{NoChecksum: n.damages, RecvBuffer: n.receiveBuffer, Unreachable: n.unreachable})
	link := n.link
	link.Delay, link.MTU = n.delay/2, n.mtu+headers
	out := n.Link(h, n.middle, link).Toward(n.middle)
	out.Intercept(n.fate)
	n.wires = append(n.wires, out)
	return h
}

// fate is the rule for each datagram that a host sends.
func (n *network) fate(p *sim.Packet) sim.Verdict {
	if p.Unreachable != nil {
		return sim.Verdict{}
	}
	n.sent++
	n.tap(p.From, p.To, p.Data)
	if n.drop != nil && n.drop(p.From, p.To, p.Data) {
		return sim.Verdict{Drop: true}
	}
	if n.late != nil {
		return sim.Verdict{Delay: n.late(p.From, p.To, p.Data)}
	}
	return sim.Verdict{}
}

// faults are those of all links from now on.
func (n *network) faults(f sim.Faults) {
	for _, w := range n.wires {
		w.SetFaults(f)
	}
}

// partition cuts all traffic.
func (n *network) partition() { n.drop = func(_, _ netip.AddrPort, _ []byte) bool { return true } }

// heal ends a partition and all faults.
func (n *network) heal() {
	n.drop = nil
	n.faults(sim.Faults{})
}

func (n *network) add(cfg Config) *node {
	d := &node{net: n, host: n.plug()}
	n.nodes = append(n.nodes, d)
	d.restart(cfg)
	return d
}

// addQueues adds the endpoints of several queues of one address, between which
// the network chooses at random.
func (n *network) addQueues(cfg Config, count int) []*node {
	h := n.plug()
	var all []*node
	for queue, port := range h.OpenQueues(1, count, sim.AtRandom) {
		cfg := cfg
		cfg.Misrouted = func(to int, rx *transport.RxPacket) {
			for i, d := range all {
				if i != queue && (i == to || to < 0) {
					copied := *rx
					copied.Data = bytes.Clone(rx.Data)
					d.Inject(&copied)
					d.port.Wake()
				}
			}
		}
		cfg.Misreported = func(u *transport.Unreachable) {
			for i, d := range all {
				if i != queue {
					d.InjectUnreachable(u)
					d.port.Wake()
				}
			}
		}
		d := &node{net: n, host: h}
		all = append(all, d)
		d.start(cfg, port)
	}
	n.nodes = append(n.nodes, all...)
	return all
}

// restart replaces the endpoint by a new one at the same address, as if the
// process had been killed.
func (d *node) restart(cfg Config) {
	d.host.Kill()
	d.start(cfg, d.host.Open(1))
}

func (d *node) start(cfg Config, port *sim.Port) {
	if cfg.Seed == ([32]byte{}) {
		d.net.births++
		binary.LittleEndian.PutUint64(cfg.Seed[:], d.net.births)
	}
	d.seal(&cfg)
	e, err := New(cfg, d.net.over(port), d.net.Now())
	require.NoError(d.net.t, err)
	d.Endpoint, d.port, d.addr = e, port, port.LocalAddr()
	d.host.Run(e, port)
}

// react lets everybody do what there is to do now.
func (n *network) react() { n.run(0) }

// run lets d pass.
func (n *network) run(d time.Duration) {
	n.kick()
	n.Run(d)
	n.look()
}

// until runs until done, and fails the test if that takes more than a minute of
// virtual time.
func (n *network) until(done func() bool) {
	n.t.Helper()
	n.kick()
	require.NoError(n.t, n.Until(time.Minute, done))
	n.react()
}

// stall lets time pass while nobody can do anything.
func (n *network) stall(amount time.Duration) {
	for _, d := range n.nodes {
		d.host.Pause(amount)
	}
	n.run(amount)
}

// kick has the endpoints find what the test gave them to do.
func (n *network) kick() {
	for _, d := range n.nodes {
		d.host.Kick()
	}
}

// look tells the endpoints the time, for what the test gives them to do next.
func (n *network) look() {
	for _, d := range n.nodes {
		require.NoError(n.t, d.host.Err())
		d.Advance(n.Now())
	}
}
