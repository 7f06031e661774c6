package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/peregrine-rpc/peregrine/conformance"
	"github.com/peregrine-rpc/peregrine/internal/netns"
	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/iouring"
	"github.com/peregrine-rpc/peregrine/transport/udp"
)

// wire is a veth pair between two namespaces.
type wire struct {
	mtu       int
	near, far side
}

// side is one end of a wire.
type side struct {
	space *netns.Namespace
	name  string
	addrs []netip.Addr
}

// wired makes a pair, with the near side's addresses and the far side's by turns.
// A process that the test starts finds it made.
func wired(t testing.TB, mtu int, ips ...string) *wire {
	t.Helper()
	return wiredQueues(t, mtu, 1, 1, ips...)
}

// wireVariable holds the paths of namespaces.
const wireVariable = "PEREGRINE_XDP_TEST_WIRE"

func wiredQueues(t testing.TB, mtu, near, far int, ips ...string) *wire {
	t.Helper()
	w := &wire{mtu: mtu, near: side{name: "near"}, far: side{name: "far"}}
	var ports [2]netns.Port
	for i, ip := range ips {
		prefix := netip.MustParsePrefix(ip)
		ports[i%2].Addresses = append(ports[i%2].Addresses, prefix)
		s := [2]*side{&w.near, &w.far}[i%2]
		s.addrs = append(s.addrs, prefix.Addr())
	}
	paths := os.Getenv(wireVariable)
	inherited := paths != ""
	for i, s := range []*side{&w.near, &w.far} {
		var err error
		if inherited {
			s.space, err = netns.Open(strings.Fields(paths)[i])
		} else {
			s.space, err = netns.New()
		}
		if errors.Is(err, netns.ErrNotPermitted) {
			t.Skip(err)
		}
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.space.Close()) })
		ports[i].Namespace, ports[i].Name, ports[i].Queues = s.space, s.name, [2]int{near, far}[i]
	}
	if inherited {
		return w
	}
	require.NoError(t, netns.Veth(mtu, ports[0], ports[1]))
	t.Setenv(wireVariable, w.near.space.Path()+" "+w.far.space.Path())
	return w
}

// opener opens what is at one end of a wire, at a port or any.
type opener func(port uint16) (transport.Transport, error)

// xdp opens this backend, with settings beside the interface's name.
func (s side) xdp(settings func(*Config)) opener {
	return func(port uint16) (transport.Transport, error) {
		c := s.config()
		c.Port = port
		if settings != nil {
			settings(&c)
		}
		return s.open(c, 0, 1)
	}
}

func (s side) config() Config {
	c := DefaultConfig()
	c.Interface, c.RxRing, c.TxRing, c.Buffers = s.name, 512, 512, 512
	return c
}

func (s side) open(c Config, queue, queues int) (tr transport.Transport, err error) {
	doErr := s.space.Do(func() error {
		tr, err = Open(c, queue, queues)
		return nil
	})
	return tr, errors.Join(err, doErr)
}

// set changes the interface.
func (s side) set(t *testing.T, how func(netlink.Link) error) {
	t.Helper()
	require.NoError(t, s.space.Do(func() error {
		link, err := netlink.LinkByName(s.name)
		if err != nil {
			return err
		}
		return how(link)
	}))
}

// udp opens plain UDP.
func (s side) udp(port uint16) (tr transport.Transport, err error) {
	c := udp.DefaultConfig()
	c.Address = netip.AddrPortFrom(s.addrs[0], port).String()
	err = s.space.Do(func() (err error) {
		tr, err = udp.Open(c, 0, 1)
		return err
	})
	return tr, err
}

// iouring opens UDP over io_uring, where the kernel gives it.
func (s side) iouring(port uint16) (tr transport.Transport, err error) {
	c := iouring.DefaultConfig()
	c.Address = netip.AddrPortFrom(s.addrs[0], port).String()
	err = s.space.Do(func() (err error) {
		tr, err = iouring.Open(c, 0, 1)
		return err
	})
	return tr, err
}

// between is a factory of what is at the two ends.
func (w *wire) between(near, far opener) conformance.Factory {
	return conformance.Factory{
		Open: func(side conformance.Side, addr netip.AddrPort) (transport.Transport, error) {
			return [...]opener{conformance.Near: near, conformance.Far: far}[side](addr.Port())
		},
		Inject: func(to netip.AddrPort, datagram []byte) error {
			if len(datagram) > w.mtu-headers6 {
				return errors.New("it would arrive in fragments")
			}
			return w.near.space.Do(func() error { return conformance.InjectUDP(to, datagram) })
		},
		Refuses: true, // the far side's kernel says so, whatever transport is there
		Leaks:   w.attached,
	}
}

// attached says on which interfaces a program is.
func (w *wire) attached() string {
	left := ""
	for _, s := range []side{w.near, w.far} {
		err := s.space.Do(func() error {
			link, err := netlink.LinkByName(s.name)
			if err == nil && link.Attrs().Xdp != nil && link.Attrs().Xdp.Attached {
				left += fmt.Sprintf("program %d is on %s ", link.Attrs().Xdp.ProgId, s.name)
			}
			return err
		})
		if err != nil {
			left += err.Error()
		}
	}
	return left
}

// opened opens until the test ends.
func opened(t testing.TB, o opener) transport.Transport {
	t.Helper()
	tr, err := o(0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	return tr
}

// send sends one datagram, which may be lost.
func send(t testing.TB, tr transport.Transport, route transport.Route, text string) {
	t.Helper()
	p := []transport.TxPacket{{Route: route}}
	transporttest.Within(t, func() bool { return tr.Reserve(p) == 1 })
	p[0].Head = p[0].Head[:copy(p[0].Head, text)]
	n, err := tr.Send(p)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// take receives and releases what is there.
func take(t testing.TB, tr transport.Transport) (texts []string, from []netip.AddrPort) {
	t.Helper()
	rx := make([]transport.RxPacket, 8)
	n, err := tr.Recv(rx)
	require.NoError(t, err)
	for _, p := range rx[:n] {
		texts, from = append(texts, string(p.Data)), append(from, p.From)
	}
	tr.Release(rx[:n])
	return texts, from
}

// reaches sends from one to another, at an address of it, until that is received.
func reaches(t testing.TB, from, to transport.Transport, at netip.AddrPort) {
	t.Helper()
	route, err := from.Resolve(at, netip.Addr{})
	require.NoError(t, err)
	defer from.Forget(route)
	reachesBy(t, from, to, route)
}

func reachesBy(t testing.TB, from, to transport.Transport, route transport.Route) {
	t.Helper()
	marks++
	text := fmt.Sprintf("datagram %d", marks)
	transporttest.Within(t, func() bool {
		send(t, from, route, text)
		require.NoError(t, to.Wait(10*time.Millisecond))
		for {
			texts, _ := take(t, to)
			if slices.Contains(texts, text) {
				return true
			}
			if len(texts) == 0 {
				_, _ = take(t, from)
				return false
			}
		}
	})
}

var marks int

func mode(m string) func(*Config) { return func(c *Config) { c.Mode = m } }

// addrPort is an address at the port that a transport has.
func addrPort(addr netip.Addr, tr transport.Transport) netip.AddrPort {
	return netip.AddrPortFrom(addr, tr.LocalAddr().Port())
}
