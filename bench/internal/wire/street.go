package wire

import (
	"errors"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"

	"github.com/peregrine-rpc/peregrine/internal/netns"
)

// The relay's interfaces, and the addresses of a street.
const (
	RelayInside, RelayInsideAddress   = "inside", "10.8.0.1"
	RelayOutside, RelayOutsideAddress = "outside", "10.8.1.1"
	StreetClientAddress               = "10.8.0.2"
	StreetServerAddress               = "10.8.1.2"
)

// Street is a client, a relay and a server, in namespaces of their own. The relay's
// kernel forwards between its two interfaces, and the ends know the way.
type Street struct{ client, relay, server *netns.Namespace }

// NewStreet makes one, which goes with this process at the latest.
func NewStreet() (_ *Street, err error) {
	var s Street
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, n := range []**netns.Namespace{&s.client, &s.relay, &s.server} {
		if *n, err = netns.New(); err != nil {
			return nil, err
		}
	}
	end := func(n *netns.Namespace, name, address string) netns.Port {
		return netns.Port{Namespace: n, Name: name, Addresses: []netip.Prefix{netip.MustParsePrefix(address + "/24")}}
	}
	err = errors.Join(
		netns.Veth(1500, end(s.client, ClientInterface, StreetClientAddress), end(s.relay, RelayInside, RelayInsideAddress)),
		netns.Veth(1500, end(s.relay, RelayOutside, RelayOutsideAddress), end(s.server, ServerInterface, StreetServerAddress)))
	if err != nil {
		return nil, err
	}
	return &s, errors.Join(
		s.relay.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644) }),
		s.client.Do(func() error { return leadBy(RelayInsideAddress) }),
		s.server.Do(func() error { return leadBy(RelayOutsideAddress) }))
}

// leadBy makes a gateway of an address.
func leadBy(gateway string) error {
	return netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(gateway)})
}

// Client, Relay and Server are prefixes of commands that run there, as a Wire's.
func (s *Street) Client(self string) []string { return []string{self, "enter", s.client.Path()} }

// Relay is the relay's.
func (s *Street) Relay(self string) []string { return []string{self, "enter", s.relay.Path()} }

// Server is the server's.
func (s *Street) Server(self string) []string { return []string{self, "enter", s.server.Path()} }

// Close gives the namespaces up.
func (s *Street) Close() error {
	var err error
	for _, n := range []*netns.Namespace{s.client, s.relay, s.server} {
		if n != nil {
			err = errors.Join(err, n.Close())
		}
	}
	return err
}
