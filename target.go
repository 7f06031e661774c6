package peregrine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Resolver finds the addresses of names; [net.Resolver] is one. network is "ip".
// Any goroutine may call it.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// target is where a client wants to go.
type target struct {
	text  string       // as the user wrote it
	host  string       // whose certificate the server has to have; "": its address says it all
	name  string       // to look up; "" where addrs says it all
	addrs []netip.Addr // of a host that was no name
	port  uint16
}

// The addresses that the local system is reached by: as in package net, it is
// meant where no host, or a wildcard, is to be dialled.
var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// parseTarget reads "host:port". The host may be a name, an address with or
// without a zone, or nothing, the port a number or a service's name.
func parseTarget(ctx context.Context, text string) (target, error) {
	wrong := func(err error) (target, error) { return target{}, fmt.Errorf("dial %q: %w", text, err) }
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return wrong(fmt.Errorf("want host:port, such as 10.0.0.1:31850 or [::1]:31850: %w", err))
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return wrong(err)
	}
	if number == 0 {
		return wrong(errors.New("port 0 is nobody's: use the one that the server's Addr says"))
	}
	t := target{text: text, port: uint16(number)}
	addr, err := netip.ParseAddr(host)
	addr = addr.Unmap()
	switch {
	case host == "" || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost"): // RFC 6761, section 6.3
		t.host, t.addrs = strings.TrimSuffix(host, "."), []netip.Addr{loopback4, loopback6}
	case err != nil:
		t.host, t.name = strings.TrimSuffix(host, "."), host
	case addr == netip.IPv4Unspecified():
		t.addrs = []netip.Addr{loopback4}
	case addr.WithZone("") == netip.IPv6Unspecified():
		t.addrs = []netip.Addr{loopback6, loopback4}
	default:
		t.addrs = []netip.Addr{canonicalZone(addr)}
	}
	return t, nil
}

// canonicalZone writes an address's zone as transports do, by the interface's
// name, for it may stand there as its number, or percent-encoded as in URLs
// (RFC 6874).
func canonicalZone(addr netip.Addr) netip.Addr {
	zone := addr.Zone()
	if zone == "" {
		return addr
	}
	if name, ok := interfaceName(zone); ok {
		return addr.WithZone(name)
	}
	decoded, ok := strings.CutPrefix(zone, "25")
	if !ok || decoded == "" {
		return addr
	}
	if name, ok := interfaceName(decoded); ok {
		return addr.WithZone(name)
	}
	return addr.WithZone(decoded)
}

func interfaceName(zone string) (name string, ok bool) {
	if i, err := net.InterfaceByName(zone); err == nil {
		return i.Name, true
	}
	index, err := strconv.Atoi(zone)
	if err != nil {
		return "", false
	}
	i, err := net.InterfaceByIndex(index)
	if err != nil {
		return "", false
	}
	return i.Name, true
}

// lookup finds the addresses to try, in the order to try them.
func (t *target) lookup(ctx context.Context, resolver Resolver) ([]netip.AddrPort, error) {
	addrs := t.addrs
	if t.name != "" {
		found, err := resolver.LookupNetIP(ctx, "ip", t.name)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("name %q has no address", t.name)
		}
		if err != nil {
			return nil, fmt.Errorf("dial %s: %w", t.text, err)
		}
		addrs = byTurns(found)
	}
	to := make([]netip.AddrPort, len(addrs))
	for i, addr := range addrs {
		to[i] = netip.AddrPortFrom(addr, t.port)
	}
	return to, nil
}

// byTurns orders addresses so that families alternate, from the first's on, and
// otherwise stay as they were (RFC 8305, section 4).
func byTurns(addrs []netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	for _, a := range addrs {
		a = canonicalZone(a.Unmap())
		switch {
		case slices.Contains(first, a) || slices.Contains(second, a):
		case len(first) == 0 || a.Is4() == first[0].Is4():
			first = append(first, a)
		default:
			second = append(second, a)
		}
	}
	var mixed []netip.Addr
	for i := range max(len(first), len(second)) {
		mixed = append(mixed, first[min(i, len(first)):min(i+1, len(first))]...)
		mixed = append(mixed, second[min(i, len(second)):min(i+1, len(second))]...)
	}
	return mixed
}
