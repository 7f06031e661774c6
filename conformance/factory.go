package conformance

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Side names the two ends between which the suites send. They may be two
// sockets of one host, two devices, or one device in each of two namespaces.
type Side int

// The two sides. At most one transport of each is open at a time.
const (
	Near Side = iota
	Far
)

// String is the side's name in messages.
func (s Side) String() string { return [...]string{"near", "far"}[s] }

// Order is the order in which the two sides open.
type Order int

// Either they open, close, and open again as they like, or one of them is the
// host, which must be open for the other to open; the other is of no more use
// once it has closed.
const (
	AnyOrder Order = iota
	NearHosts
	FarHosts
)

// hosts says whether the other side depends on that one.
func (o Order) hosts(side Side) bool {
	return o == NearHosts && side == Near || o == FarHosts && side == Far
}

// sides are both sides in this order.
func (o Order) sides() [2]Side {
	if o == FarHosts {
		return [2]Side{Far, Near}
	}
	return [2]Side{Near, Far}
}

// other is the side that s is not.
func (s Side) other() Side { return Near + Far - s }

// Factory opens the transports of one backend in one configuration, and says
// what cannot be read from their Caps. Only Open is required.
type Factory struct {
	// Open opens a transport that reaches, and is reached by, the one of the
	// other side. An invalid addr asks for any free address; otherwise the
	// transport listens there, which an earlier one of that side did. The suite
	// closes it.
	Open func(side Side, addr netip.AddrPort) (transport.Transport, error)

	// Order says whether one side depends on the other. The RPC suite does
	// without it: there the far side opens first, and either may come again.
	Order Order

	// OneProcess says that both sides must live in this process. Otherwise the
	// RPC suite also opens either side in a copy of the test binary.
	OneProcess bool

	// Also is further addresses by which the near side reaches the far one: of a
	// wildcard, or of a device with several. May be empty.
	Also []netip.Addr

	// Refuses says that the host of the far side tells a sender when nobody has the
	// port that a datagram was for, and that the near side reports it.
	Refuses bool

	// Stays says that the far side must not close while the near one sends: a driver
	// below the backend does not survive it.
	Stays bool

	// Configure changes what each endpoint of the RPC suite is made with, such as its
	// Security. May be nil.
	Configure func(*core.Config)

	// Brief leaves out of the RPC suite what another test of the backend tells at length:
	// each fault by itself, messages around the edges of datagrams, numbers of sessions, and settings.
	Brief bool

	// Inject sends a datagram to an address by other means than this backend,
	// such as a plain socket. It may be longer than MaxPayload; an error says
	// that it did not leave. Nil where there are no such means.
	Inject func(to netip.AddrPort, datagram []byte) error

	// Leaks names the kernel's objects that are left when all transports are
	// closed, such as attached programs; "" if none is. Goroutines, and on Linux
	// descriptors, are counted without it.
	Leaks func() string

	// Keeps is how the names of descriptors begin that a library below the
	// backend does not give back ("socket:"), as /proc/self/fd tells them. They
	// are not counted. Empty counts all.
	Keeps string
}

// URL returns a factory that opens both sides by one transport URL whose host
// part is an address with port 0, such as udp://127.0.0.1:0.
func URL(url string) Factory {
	return Factory{Open: func(_ Side, addr netip.AddrPort) (transport.Transport, error) {
		if !addr.IsValid() {
			return transport.Open(url)
		}
		scheme, rest, _ := strings.Cut(url, "://")
		_, query, _ := strings.Cut(rest, "?")
		return transport.Open(scheme + "://" + addr.String() + "?" + query)
	}}
}

// InjectUDP is the Inject of backends whose datagrams are UDP of this host.
func InjectUDP(to netip.AddrPort, datagram []byte) error {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return fmt.Errorf("conformance: no plain socket to %v: %w", to, err)
	}
	defer conn.Close()
	if _, err := conn.Write(datagram); err != nil {
		return fmt.Errorf("conformance: %d bytes to %v: %w", len(datagram), to, err)
	}
	return nil
}

// dialable is the address by which a peer reaches tr: a wildcard is reached by
// the loopback.
func dialable(tr transport.Transport) netip.AddrPort {
	local := tr.LocalAddr()
	switch {
	case !local.Addr().IsUnspecified():
		return local
	case local.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), local.Port())
	default:
		return netip.AddrPortFrom(netip.IPv6Loopback(), local.Port())
	}
}
