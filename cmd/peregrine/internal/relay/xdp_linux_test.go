package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/internal/netns"
	"github.com/peregrine-rpc/peregrine/transport"
	_ "github.com/peregrine-rpc/peregrine/transport/xdp"
)

// street is three namespaces in a row: clients, the relay, the server.
type street struct {
	t                      *testing.T
	client, middle, server *netns.Namespace
	ipv6                   bool
}

const (
	clientHost = iota
	relayInside
	relayOutside
	serverHost
)

// addr is that of one of the four interfaces.
func (s *street) addr(of int) netip.Addr { return prefix(of, s.ipv6).Addr() }

func prefix(of int, ipv6 bool) netip.Prefix {
	net, host := of/2, 1+of%2
	if ipv6 {
		return netip.MustParsePrefix(fmt.Sprintf("fd08:%d::%d/64", net, host))
	}
	return netip.MustParsePrefix(fmt.Sprintf("10.8.%d.%d/24", net, host))
}

// newStreet joins them by two cables, with an MTU each.
func newStreet(t *testing.T, inside, outside int) *street {
	t.Helper()
	s := &street{t: t}
	for _, n := range []**netns.Namespace{&s.client, &s.middle, &s.server} {
		var err error
		*n, err = netns.New()
		if errors.Is(err, netns.ErrNotPermitted) {
			t.Skip(err)
		}
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, (*n).Close()) })
	}
	port := func(n *netns.Namespace, name string, of int) netns.Port {
		return netns.Port{Namespace: n, Name: name, Addresses: []netip.Prefix{prefix(of, false), prefix(of, true)}}
	}
	require.NoError(t, netns.Veth(inside, port(s.client, "client", clientHost), port(s.middle, "inside", relayInside)))
	require.NoError(t, netns.Veth(outside, port(s.middle, "outside", relayOutside), port(s.server, "server", serverHost)))
	return s
}

// open opens a transport in a namespace.
func open(n *netns.Namespace, url string) (tr transport.Transport, err error) {
	doErr := n.Do(func() error {
		tr, err = transport.Open(url)
		return nil
	})
	return tr, errors.Join(err, doErr)
}

// over is an option by which an endpoint has its transport in a namespace.
func over(n *netns.Namespace, addr netip.Addr) peregrine.Option {
	return peregrine.WithTransports(func(int, int) (transport.Transport, error) {
		return open(n, fmt.Sprintf("udp://%v", netip.AddrPortFrom(addr, 0)))
	})
}

// serve starts an echo server.
func (s *street) serve() netip.AddrPort {
	s.t.Helper()
	e, err := peregrine.Listen("", over(s.server, s.addr(serverHost)), patient,
		peregrine.WithHandler(echo, func(r peregrine.Request) { r.Reply(r.Data()) }))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, e.Close()) })
	return e.Addr()
}

// relay runs one until the test ends.
func (s *street) relay(cfg Config, from, to string) *Relay {
	s.t.Helper()
	if cfg.Idle == 0 {
		cfg.Idle = time.Hour
	}
	if cfg.MaxFlows == 0 {
		cfg.MaxFlows = 16
	}
	var r *Relay
	require.NoError(s.t, s.middle.Do(func() error {
		inside, err := transport.Open(from)
		if err == nil {
			r, err = New(cfg, inside, func() (transport.Transport, error) { return transport.Open(to) })
		}
		return err
	}))
	ended := make(chan error)
	go func() { ended <- s.middle.Do(r.Run) }()
	s.t.Cleanup(func() {
		r.Stop()
		require.NoError(s.t, <-ended)
		require.NoError(s.t, r.Close())
		require.Empty(s.t, s.attached())
	})
	return r
}

// attached says on which of the relay's interfaces a program is.
func (s *street) attached() (names []string) {
	require.NoError(s.t, s.middle.Do(func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			if x := l.Attrs().Xdp; x != nil && x.Attached {
				names = append(names, l.Attrs().Name)
			}
		}
		return err
	}))
	return names
}

// dial is a session of a client of its own.
func (s *street) dial(r *Relay) *peregrine.Session {
	s.t.Helper()
	e, err := peregrine.Listen("", over(s.client, s.addr(clientHost)), patient)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, e.Close()) })
	session, err := e.Dial(s.t.Context(), netip.AddrPortFrom(s.addr(relayInside), r.Addr().Port()).String())
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, session.Close()) })
	return session
}

// settled are the counters once nothing passes any more for a while.
func settled(r *Relay) Stats {
	for {
		before := r.Stats()
		time.Sleep(20 * time.Millisecond)
		if after := r.Stats(); after.ToServer+after.ToClients == before.ToServer+before.ToClients {
			return after
		}
	}
}

// What one interface received the other sends, from the memory where it lies.
func TestFramesPassBetweenTwoInterfacesWithoutACopy(t *testing.T) {
	for _, mode := range []string{"native", "generic"} {
		for _, ipv6 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, IPv6 %v", mode, ipv6), func(t *testing.T) {
				s := newStreet(t, 1500, 1500)
				s.ipv6 = ipv6
				r := s.relay(Config{Server: s.serve()}, "xdp://inside?port=7000&memory=relay&mode="+mode, "xdp://outside?memory=relay&mode="+mode)
				outward, inward := r.Copies()
				require.Zero(t, outward+inward)
				for range 3 {
					session := s.dial(r)
					for _, size := range []int{0, 32, 1400, 100_000} {
						call(t, session, size)
					}
				}
				call(t, s.dial(r), 8<<20)
				stats := settled(r)
				require.EqualValues(t, 4, stats.FlowsOpen)
				if mode == "native" { // in generic mode what these kernels send comes by a socket of this one's
					require.Zero(t, stats.Copied)
				}
				require.Equal(t, stats.ToServer+stats.ToClients, stats.WithoutCopy+stats.Copied+dropped(&stats.Inside)+dropped(stats.Outside))
				require.Zero(t, stats.Foreign+stats.Strangers+stats.NoFlow)
			})
		}
	}
}

// Families, backends and MTUs of the two sides may differ.
func TestDatagramsPassBetweenDifferentSides(t *testing.T) {
	for _, c := range []struct {
		name, from, to    string
		inside, outside   int
		clients6, server6 bool
		copies            [2]int
	}{
		{"to another family without a copy", "xdp://inside?port=7000&memory=m", "xdp://outside?memory=m", 1500, 1500, false, true, [2]int{0, 0}},
		{"and back", "xdp://inside?port=7000&memory=m", "xdp://outside?memory=m", 1500, 1500, true, false, [2]int{0, 0}},
		{"two memories", "xdp://inside?port=7000", "xdp://outside", 3000, 1500, false, false, [2]int{1, 1}},
		{"a smaller MTU at the clients", "xdp://inside?port=7000", "xdp://outside", 1500, 3000, false, false, [2]int{1, 1}},
		{"from UDP", "udp://0.0.0.0:7000", "xdp://outside", 1500, 1500, false, false, [2]int{1, 1}},
		{"to UDP", "xdp://inside?port=7000", "udp://[::]:0", 1500, 1500, false, true, [2]int{1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStreet(t, c.inside, c.outside)
			s.ipv6 = c.server6
			server := s.serve()
			s.ipv6 = c.clients6
			r := s.relay(Config{Server: server}, c.from, c.to)
			outward, inward := r.Copies()
			require.Equal(t, c.copies, [2]int{outward, inward})
			for range 2 {
				session := s.dial(r)
				call(t, session, 32)
				call(t, session, 1<<20)
			}
			stats := settled(r)
			require.EqualValues(t, 2, stats.FlowsOpen)
			if outward > 0 {
				require.Zero(t, stats.WithoutCopy)
				require.Equal(t, stats.ToServer+stats.ToClients, stats.Copied)
			} else {
				require.Zero(t, stats.Copied)
				require.Positive(t, stats.WithoutCopy)
			}
		})
	}
}

func TestAFlowOfAnInterfaceIsForgottenWithItsPort(t *testing.T) {
	s := newStreet(t, 1500, 1500)
	r := s.relay(Config{Server: s.serve(), Idle: 50 * time.Millisecond}, "xdp://inside?port=7000&memory=m", "xdp://outside?memory=m")
	session := s.dial(r)
	call(t, session, 32)
	require.Eventually(t, func() bool { return r.Stats().FlowsOpen == 0 }, time.Minute, time.Millisecond)
	call(t, session, 32)
	require.GreaterOrEqual(t, r.Stats().FlowsOpened, uint64(2))
}
