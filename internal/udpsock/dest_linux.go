package udpsock

import (
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

// makeDest encodes addr, which the socket can send to, and a source that is an
// address of this host or the zero Addr.
func makeDest(addr netip.AddrPort, source netip.Addr, ipv6 bool) (d Dest, err error) {
	if d.Name, err = MakeSockaddr(netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), ipv6); err != nil {
		return d, err
	}
	if source.IsValid() {
		scope, err := scopeOf(source.Zone())
		if err != nil {
			return d, err
		}
		d.fixed = uint8(len(AppendSource(d.source[:0], source, scope, ipv6)))
	}
	return d, nil
}
