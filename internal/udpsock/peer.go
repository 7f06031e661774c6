package udpsock

import (
	"fmt"
	"net/netip"
)

// CheckPeer says why a socket of the given families cannot send to addr from
// source, which may be the zero Addr.
func CheckPeer(addr netip.AddrPort, source netip.Addr, ipv4, ipv6 bool) error {
	ip := addr.Addr().Unmap()
	switch {
	case !ip.IsValid() || ip.IsUnspecified() || addr.Port() == 0:
		return fmt.Errorf("%v is no destination: give an address and a port", addr)
	case ip.Is4() && !ipv4:
		return fmt.Errorf("%v cannot be reached from an IPv6 address: open the transport on 0.0.0.0 or [::]", addr)
	case ip.Is6() && !ipv6:
		return fmt.Errorf("%v cannot be reached from an IPv4 address: open the transport on [::]", addr)
	case source.IsValid() && source.Unmap().Is4() != ip.Is4():
		return fmt.Errorf("%v cannot be reached from %v: they are of different families", addr, source)
	}
	return nil
}
