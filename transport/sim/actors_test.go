package sim_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fast is a link without limits.
var fast = sim.LinkConfig{Delay: 10 * time.Microsecond}

// star is hosts with a link each to one switch.
type star struct {
	*sim.Network
	hosts []*sim.Host
	links []*sim.Link
}

func newStar(seed uint64, hosts int, cfg sim.LinkConfig) *star {
	n := &star{Network: sim.New(seed)}
	tor := n.Switch("tor")
	for range hosts {
		n.add(tor, sim.HostConfig{}, cfg)
	}
	return n
}

func (n *star) add(at sim.Node, cfg sim.HostConfig, link sim.LinkConfig) *sim.Host {
	h := n.Host(string(rune('a'+len(n.hosts)%26)), cfg)
	n.hosts = append(n.hosts, h)
	n.links = append(n.links, n.Link(h, at, link))
	return h
}

// down is the pipe from the switch to a host.
func (n *star) down(host int) *sim.Pipe { return n.links[host].Toward(n.hosts[host]) }

// source sends numbered datagrams as fast as its port takes them.
type source struct {
	port  *sim.Port
	route transport.Route
	left  int
	size  int
	ecn   transport.ECN
	sent  int
	ready int // in txs
	txs   [64]transport.TxPacket
}

func newSource(tb testing.TB, h *sim.Host, to netip.AddrPort, count, size int) *source {
	s := &source{port: h.Open(1), left: count, size: size, ecn: transport.ECT0}
	var err error
	s.route, err = s.port.Resolve(to, netip.Addr{})
	require.NoError(tb, err)
	h.Run(s, s.port)
	return s
}

func (s *source) Poll(time.Duration) (bool, error) {
	want := min(s.left, len(s.txs))
	if s.ready < want {
		for n := s.port.Reserve(s.txs[s.ready:want]); n > 0; n-- {
			tx := &s.txs[s.ready]
			tx.Route, tx.ECN = s.route, s.ecn
			tx.Head = tx.Head[:s.size]
			tx.Head[0] = byte(s.sent + s.ready)
			s.ready++
		}
	}
	n, err := s.port.Send(s.txs[:s.ready])
	s.ready = copy(s.txs[:], s.txs[n:s.ready])
	s.sent += n
	s.left -= n
	return n > 0, err
}

func (s *source) NextDeadline() (time.Duration, bool) { return 0, false }

// arrival is what a sink remembers of a datagram.
type arrival struct {
	at   time.Duration
	from netip.AddrPort
	data string
	ecn  transport.ECN
}

// sink notes all that arrives, and answers if told to.
type sink struct {
	port    *sim.Port
	keep    bool
	echo    bool
	got     []arrival
	packets int
	last    time.Duration
	polls   int
	routes  map[netip.AddrPort]transport.Route
	rxs     [64]transport.RxPacket
}

func newSink(h *sim.Host) *sink {
	s := &sink{port: h.Open(1), keep: true, routes: map[netip.AddrPort]transport.Route{}}
	h.Run(s, s.port)
	return s
}

func newEcho(h *sim.Host) *sink {
	s := newSink(h)
	s.echo = true
	return s
}

func (s *sink) Poll(now time.Duration) (bool, error) {
	s.polls++
	n, err := s.port.Recv(s.rxs[:])
	for _, rx := range s.rxs[:n] {
		s.packets++
		s.last = now
		if s.keep {
			s.got = append(s.got, arrival{now, rx.From, string(rx.Data), rx.ECN})
		}
		if s.echo {
			s.answer(rx)
		}
	}
	s.port.Release(s.rxs[:n])
	return n > 0, err
}

func (s *sink) answer(rx transport.RxPacket) {
	route, ok := s.routes[rx.From]
	if !ok {
		route, _ = s.port.Resolve(rx.From, netip.Addr{})
		s.routes[rx.From] = route
	}
	send(s.port, route, rx.Data, nil)
}

func (s *sink) NextDeadline() (time.Duration, bool) { return 0, false }

// send sends one datagram.
func send(p *sim.Port, route transport.Route, head []byte, payload []byte) int {
	var tx [1]transport.TxPacket
	if p.Reserve(tx[:]) == 0 {
		return 0
	}
	tx[0].Head = tx[0].Head[:copy(tx[0].Head, head)]
	tx[0].Payload, tx[0].Route = payload, route
	n, _ := p.Send(tx[:])
	return n
}

// dial resolves an address that is valid.
func dial(tb testing.TB, p *sim.Port, to netip.AddrPort) transport.Route {
	tb.Helper()
	r, err := p.Resolve(to, netip.Addr{})
	require.NoError(tb, err)
	return r
}

func text(got []arrival) (data []string) {
	for _, a := range got {
		data = append(data, a.data)
	}
	return data
}
