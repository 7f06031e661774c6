package netstack

import (
	"fmt"
	"net/netip"
)

// Resolve chooses the way to dst: the address of ours that datagrams come from,
// which is source unless that is the zero Addr, and the neighbour they go to, at
// whatever MAC it has at the time. The caller gives the neighbour back by Forget.
// now is in nanoseconds.
//
// An error says that there is no way, in this configuration, that source is not
// ours, or that the table of neighbours is full of those in use.
func (s *Stack) Resolve(now int64, dst, source netip.Addr, emit func(frame []byte)) (
	from netip.Addr, next *Neighbour, err error,
) {
	from, hop, err := s.route(dst.Unmap().WithZone(""))
	if err != nil {
		return netip.Addr{}, nil, err
	}
	if source = source.Unmap().WithZone(""); source.IsValid() {
		if !s.isLocal(source) || source.Is4() != from.Is4() {
			return netip.Addr{}, nil, fmt.Errorf("%v is not an address of this station from which to reach %v: give one of its own", source, dst)
		}
		from = source
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.neighbours.get(now, hop)
	if n == nil {
		return netip.Addr{}, nil, fmt.Errorf(
			"%d neighbours are in use, which is all that the table holds: reach %v through a gateway", maxNeighbours, dst)
	}
	if s.neighbours.acquire(now, n) {
		s.solicit(now, n, emit)
	}
	return from, n, nil
}

// Forget gives back what Resolve returned.
func (s *Stack) Forget(n *Neighbour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.neighbours.release(n)
}

// route returns our address and the next hop for dst.
func (s *Stack) route(dst netip.Addr) (from, hop netip.Addr, err error) {
	family := "IPv4"
	if dst.Is6() {
		family = "IPv6"
	}
	if !s.isUnicast(dst) {
		return from, hop, fmt.Errorf("%v is not the address of one host: give a unicast address", dst)
	}
	if s.isLocal(dst) {
		return from, hop, fmt.Errorf("%v is this station's own, and links do not send back: use udp and 127.0.0.1", dst)
	}
	if from = s.source(dst); from.IsValid() {
		return from, dst, nil
	}
	first := s.first(dst)
	if !first.IsValid() {
		return from, hop, fmt.Errorf("there is no %s address to reach %v from: give the device one", family, dst)
	}
	for _, gateway := range s.gateways {
		if gateway.Is4() != dst.Is4() {
			continue
		}
		if from = s.source(gateway); !from.IsValid() || from.IsLinkLocalUnicast() {
			from = first
		}
		return from, gateway, nil
	}
	return from, hop, fmt.Errorf("%v is not on the link of %v: give an %s gateway", dst, first, family)
}

// source returns our address on a network that contains addr, if there is one.
func (s *Stack) source(addr netip.Addr) netip.Addr {
	for _, prefix := range s.local {
		if prefix.Contains(addr) {
			return prefix.Addr()
		}
	}
	return netip.Addr{}
}

// first returns our first address of addr's family that is good beyond the link.
func (s *Stack) first(addr netip.Addr) netip.Addr {
	for _, prefix := range s.local {
		if a := prefix.Addr(); a.Is4() == addr.Is4() && (a.Is4() || !a.IsLinkLocalUnicast()) {
			return a
		}
	}
	return netip.Addr{}
}

// isNear says whether addr may be a neighbour.
func (s *Stack) isNear(addr netip.Addr) bool {
	for _, gateway := range s.gateways {
		if gateway == addr {
			return true
		}
	}
	return s.source(addr).IsValid()
}

func (s *Stack) isLocal(addr netip.Addr) bool {
	for _, prefix := range s.local {
		if prefix.Addr() == addr {
			return true
		}
	}
	return false
}

// isUnicast says whether addr can be one host's, seen from our networks.
func (s *Stack) isUnicast(addr netip.Addr) bool {
	if !isHost(addr) {
		return false
	}
	for _, prefix := range s.local {
		if isEdge(prefix, addr) {
			return false
		}
	}
	return true
}

// isHost says whether addr can be one host's on any network.
func isHost(addr netip.Addr) bool {
	return addr.IsValid() && !addr.IsUnspecified() && !addr.IsMulticast() && !addr.IsLoopback() && !addr.Is4In6() &&
		addr != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// isEdge says whether addr is the first or last address of an IPv4 network: its
// own or the broadcast address, unless the network has only two (RFC 3021).
func isEdge(network netip.Prefix, addr netip.Addr) bool {
	if !addr.Is4() || network.Bits() >= 31 || !network.Contains(addr) {
		return false
	}
	host := uint32(1)<<(32-network.Bits()) - 1
	b := addr.As4()
	low := (uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])) & host
	return low == 0 || low == host
}

// addLocal gives the station an address.
func (s *Stack) addLocal(prefix netip.Prefix) error {
	addr := prefix.Addr()
	switch {
	case !prefix.IsValid() || !isHost(addr):
		return fmt.Errorf("%v cannot be a station's address: give a host's with its network, such as 10.0.1.7/24", prefix)
	case isEdge(prefix, addr):
		return fmt.Errorf("%v is the first or last address of its network: give a host's, such as 10.0.1.7/24", prefix)
	case s.isLocal(addr):
		return fmt.Errorf("%v is given twice: keep one", addr)
	case addr.Is4() && s.mtu < 68:
		return fmt.Errorf("IPv4 needs an MTU of 68 bytes, and this is %d: enlarge it", s.mtu) // RFC 791
	case addr.Is6() && !addr.IsLinkLocalUnicast() && s.mtu < 1280:
		return fmt.Errorf("IPv6 needs an MTU of 1280 bytes, and this is %d: enlarge it", s.mtu) // RFC 8200, section 5
	}
	s.local = append(s.local, prefix)
	if addr.Is4() {
		s.parser.ipv4 = append(s.parser.ipv4, addr.As4())
	} else {
		s.parser.ipv6 = append(s.parser.ipv6, addr.As16())
	}
	return nil
}

// addGateway lets the station reach other networks. A station that is alone on
// its network, as clouds configure it, finds the gateway on the link all the same.
func (s *Stack) addGateway(gateway netip.Addr) error {
	switch {
	case !s.isUnicast(gateway):
		return fmt.Errorf("%v cannot be a gateway: give the address of a router on the link", gateway)
	case s.isLocal(gateway):
		return fmt.Errorf("%v is this station's own: give the address of a router on the link", gateway)
	}
	alone := false
	for _, prefix := range s.local {
		alone = alone || prefix.Addr().Is4() == gateway.Is4() && prefix.IsSingleIP()
	}
	if !alone && !s.source(gateway).IsValid() {
		return fmt.Errorf("the gateway %v is not on the link: give one in a network of ours, or correct the network's length",
			gateway)
	}
	for _, other := range s.gateways {
		if other.Is4() == gateway.Is4() {
			return fmt.Errorf("%v and %v are two gateways for one family: keep one", other, gateway)
		}
	}
	s.gateways = append(s.gateways, gateway)
	return nil
}
