package udp

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/peregrine-rpc/peregrine/transport"
)

func init() { transport.Register(driver{}) }

type driver struct{}

func (driver) Name() string { return name }

func (driver) Config() any {
	c := DefaultConfig()
	return &c
}

func (driver) Open(cfg any, queue, queues int) (transport.Transport, error) {
	c, ok := cfg.(*Config)
	if !ok {
		return nil, fmt.Errorf("udp: configured by a %T: start from what Config returns", cfg)
	}
	return Open(*c, queue, queues)
}

// Open opens one queue, counted from 0, of several that share an address. The
// kernel spreads flows over the queues by a hash of the addresses and ports.
//
// Where the address has port 0 and there are several queues, queue 0 gets a
// port, and the opener puts the port of its LocalAddr into the configuration of
// the others, as [transport.OpenQueues] does.
func Open(cfg Config, queue, queues int) (transport.Transport, error) {
	addr, err := prepare(&cfg, queue, queues)
	if err != nil {
		return nil, err
	}
	return open(cfg, addr, queue, queues)
}

// prepare checks what Open was given and finds the local address. An invalid IP
// in it stands for an empty host.
func prepare(cfg *Config, queue, queues int) (netip.AddrPort, error) {
	if err := cfg.Validate(); err != nil {
		return netip.AddrPort{}, err
	}
	if queue < 0 || queue >= queues {
		return netip.AddrPort{}, fmt.Errorf("udp: there is no queue %d of %d: count from 0", queue, queues)
	}
	resolved, err := net.ResolveUDPAddr("udp", cfg.Address)
	if err != nil {
		return netip.AddrPort{}, wrong("address", "%v: give an address of this host", err)
	}
	addr := resolved.AddrPort()
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if queue > 0 && addr.Port() == 0 {
		return addr, wrong("address", "port 0 would give queue %d of %d a port of its own: give the port that queue 0 got", queue, queues)
	}
	return addr, nil
}

// Sizes of the IP and UDP headers, and the most that fits behind them into the
// length fields of 16 bits.
const (
	headers4, maxPayload4 = 20 + 8, 1<<16 - 1 - 20 - 8
	headers6, maxPayload6 = 40 + 8, 1<<16 - 1 - 8
)

// maxPayload is the most bytes that a datagram on a link of that MTU carries. A
// socket of both families counts the larger headers.
func maxPayload(mtu int, ipv6 bool) int {
	if ipv6 {
		return min(mtu-headers6, maxPayload6)
	}
	return min(mtu-headers4, maxPayload4)
}

// linkMTU is the MTU of the interface that has addr, or the largest of those
// that are up if addr is a wildcard.
func linkMTU(addr netip.Addr) int {
	const ethernet = 1500
	wildcard := !addr.IsValid() || addr.IsUnspecified()
	ifs, err := net.Interfaces()
	if err != nil {
		return ethernet
	}
	mtu := 0
	for _, i := range ifs {
		if i.Flags&net.FlagUp != 0 && (wildcard || has(i, addr)) {
			mtu = max(mtu, min(i.MTU, maxMTU))
		}
	}
	if mtu < minMTU {
		return ethernet
	}
	return mtu
}

func has(i net.Interface, addr netip.Addr) bool {
	// All of 127.0.0.0/8 is the loopback's, though it lists one address.
	if addr.IsLoopback() {
		return i.Flags&net.FlagLoopback != 0
	}
	addrs, err := i.Addrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && prefix.Addr().WithZone("") == addr.WithZone("") {
			return true
		}
	}
	return false
}

// checkPeer says why a socket of the given families cannot send to addr.
func checkPeer(addr netip.AddrPort, v4, v6 bool) error {
	ip := addr.Addr().Unmap()
	switch {
	case !ip.IsValid() || ip.IsUnspecified() || addr.Port() == 0:
		return fmt.Errorf("udp: %v is no destination: give an address and a port", addr)
	case ip.Is4() && !v4:
		return fmt.Errorf("udp: %v cannot be reached from an IPv6 address: open the transport on 0.0.0.0 or [::]", addr)
	case ip.Is6() && !v6:
		return fmt.Errorf("udp: %v cannot be reached from an IPv4 address: open the transport on [::]", addr)
	}
	return nil
}

var errClosed = fmt.Errorf("udp: %w", transport.ErrClosed)
