package xdp

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/conformance"
	"github.com/peregrine-rpc/peregrine/internal/netns"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/udp"
)

// wire is a veth pair between two namespaces.
type wire struct {
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
func wired(t *testing.T, mtu int, ips ...string) *wire {
	t.Helper()
	const variable = "PEREGRINE_XDP_TEST_WIRE"
	w := &wire{near: side{name: "near"}, far: side{name: "far"}}
	var ports [2]netns.Port
	for i, ip := range ips {
		prefix := netip.MustParsePrefix(ip)
		ports[i%2].Addresses = append(ports[i%2].Addresses, prefix)
		s := [2]*side{&w.near, &w.far}[i%2]
		s.addrs = append(s.addrs, prefix.Addr())
	}
	paths, inherited := os.LookupEnv(variable)
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
		ports[i].Namespace, ports[i].Name = s.space, s.name
	}
	if inherited {
		return w
	}
	require.NoError(t, netns.Veth(mtu, ports[0], ports[1]))
	t.Setenv(variable, w.near.space.Path()+" "+w.far.space.Path())
	return w
}

// opener opens what is at one end of a wire, at a port or any.
type opener func(port uint16) (transport.Transport, error)

// xdp opens this backend, with settings beside the interface's name.
func (s side) xdp(settings func(*Config)) opener {
	return func(port uint16) (tr transport.Transport, err error) {
		c := DefaultConfig()
		c.Interface, c.Port = s.name, port
		c.RxRing, c.TxRing, c.Buffers = 512, 512, 512
		if settings != nil {
			settings(&c)
		}
		doErr := s.space.Do(func() error {
			tr, err = Open(c, 0, 1)
			return nil
		})
		return tr, errors.Join(err, doErr)
	}
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

// between is a factory of what is at the two ends.
func (w *wire) between(near, far opener) conformance.Factory {
	return conformance.Factory{
		Open: func(side conformance.Side, addr netip.AddrPort) (transport.Transport, error) {
			return [...]opener{conformance.Near: near, conformance.Far: far}[side](addr.Port())
		},
		Inject: func(to netip.AddrPort, datagram []byte) error {
			if len(datagram) > 1500-headers6 {
				return errors.New("it would arrive in fragments")
			}
			return w.near.space.Do(func() error { return conformance.InjectUDP(to, datagram) })
		},
		Leaks: w.attached,
	}
}

// attached says what program is on either interface.
func (w *wire) attached() string { return "" }

func mode(m string) func(*Config) { return func(c *Config) { c.Mode = m } }
