package udpsock

import (
	"fmt"
	"net/netip"
)

// Dest is a destination as Send needs it: the peer's address, and as a control
// message the own address that packets leave from, where that is fixed.
type Dest struct {
	Name   Sockaddr
	source [sourceSpace]byte
	fixed  uint8 // bytes of source
}

// Source is the control message, or nothing.
func (d *Dest) Source() []byte { return d.source[:d.fixed] }

// dest checks and encodes a destination.
func (s *Socket) dest(addr netip.AddrPort, source netip.Addr) (d Dest, err error) {
	source = source.Unmap()
	if err := CheckPeer(addr, source, s.IPv4, s.IPv6); err != nil {
		return d, err
	}
	if d.Name, err = MakeSockaddr(netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), s.IPv6); err != nil {
		return d, err
	}
	switch {
	case !source.IsValid():
	case !s.wildcard:
		if err := OnlySource(s.Local.Addr(), source); err != nil {
			return d, err
		}
	default:
		scope, err := scopeOf(source.Zone())
		if err != nil {
			return d, err
		}
		d.fixed = uint8(len(AppendSource(d.source[:0], source, scope, s.IPv6)))
		// What is refused without the source as well is not its fault.
		if errno := probe(s.FD, &d); errno != 0 && probe(s.FD, &Dest{Name: d.Name}) == 0 {
			return d, fmt.Errorf("%v is no address of this host that packets to %v can leave from: see ip addr: %w", source, addr, errno)
		}
	}
	return d, nil
}
