package udpsock

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Sockaddr is a sockaddr_in6, or a sockaddr_in, whose address lies where the
// other has the flow label.
type Sockaddr unix.RawSockaddrInet6

// SizeofSockaddr is the room for either, to give the kernel for a sender's.
const SizeofSockaddr = unix.SizeofSockaddrInet6

// MakeSockaddr encodes addr for a socket of either family. A socket for IPv6
// knows IPv4 addresses in their mapped form. An error is about the zone.
func MakeSockaddr(addr netip.AddrPort, ipv6 bool) (Sockaddr, error) {
	ip := addr.Addr()
	if !ipv6 {
		b := ip.As4()
		return Sockaddr{
			Family:   unix.AF_INET,
			Port:     networkOrder(addr.Port()),
			Flowinfo: binary.NativeEndian.Uint32(b[:]),
		}, nil
	}
	scope, err := scopeOf(ip.Zone())
	return Sockaddr{
		Family:   unix.AF_INET6,
		Port:     networkOrder(addr.Port()),
		Addr:     ip.As16(),
		Scope_id: scope,
	}, err
}

// IsIPv4 tells whether packets to a go out by IPv4.
func (a *Sockaddr) IsIPv4() bool {
	return a.Family == unix.AF_INET || netip.AddrFrom16(a.Addr).Is4In6()
}

// Len is what the kernel is told of a's length.
func (a *Sockaddr) Len() uint32 {
	if a.Family == unix.AF_INET {
		return unix.SizeofSockaddrInet4
	}
	return unix.SizeofSockaddrInet6
}

// AddrPort decodes a; IPv4 addresses are not mapped.
func (a *Sockaddr) AddrPort(z Zones) netip.AddrPort {
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
