package udp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// sockaddr is a sockaddr_in6, or a sockaddr_in, whose address lies where the
// other has the flow label.
type sockaddr unix.RawSockaddrInet6

// makeSockaddr encodes addr for a socket of either family. A socket for IPv6
// knows IPv4 addresses in their mapped form.
func makeSockaddr(addr netip.AddrPort, ipv6 bool) (sockaddr, error) {
	ip := addr.Addr()
	if !ipv6 {
		b := ip.As4()
		return sockaddr{
			Family:   unix.AF_INET,
			Port:     networkOrder(addr.Port()),
			Flowinfo: binary.NativeEndian.Uint32(b[:]),
		}, nil
	}
	scope, err := scopeOf(ip.Zone())
	return sockaddr{
		Family:   unix.AF_INET6,
		Port:     networkOrder(addr.Port()),
		Addr:     ip.As16(),
		Scope_id: scope,
	}, err
}

// isIPv4 tells whether packets to a go out by IPv4.
func (a *sockaddr) isIPv4() bool {
	return a.Family == unix.AF_INET || netip.AddrFrom16(a.Addr).Is4In6()
}

func (a *sockaddr) len() uint32 {
	if a.Family == unix.AF_INET {
		return unix.SizeofSockaddrInet4
	}
	return unix.SizeofSockaddrInet6
}

func (a *sockaddr) addrPort(z zones) netip.AddrPort {
	if a.Family == unix.AF_INET {
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], a.Flowinfo)
		return netip.AddrPortFrom(netip.AddrFrom4(b), networkOrder(a.Port))
	}
	ip := netip.AddrFrom16(a.Addr).Unmap()
	if a.Scope_id != 0 {
		ip = ip.WithZone(z.name(a.Scope_id))
	}
	return netip.AddrPortFrom(ip, networkOrder(a.Port))
}

// networkOrder converts both ways.
func networkOrder(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

// scopeOf turns the zone of a link-local address, the name or the number of an
// interface, into the kernel's number.
func scopeOf(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("udp: zone %q is no interface of this host: %w", zone, err)
	}
	return uint32(i.Index), nil
}

// zones remembers the names of interfaces that link-local peers are behind, for
// asking the kernel costs several system calls.
type zones map[uint32]string

func (z zones) name(scope uint32) string {
	if name, ok := z[scope]; ok {
		return name
	}
	name := strconv.FormatUint(uint64(scope), 10)
	if i, err := net.InterfaceByIndex(int(scope)); err == nil {
		name = i.Name
	}
	z[scope] = name
	return name
}
