package netstack

import "net/netip"

// Receiver is a host whose kernel does all that a [Stack] does, and only leaves
// datagrams to us.
type Receiver struct {
	MAC  MAC
	VLAN uint16 // 0: untagged
	// Untagged accepts a VLAN's frames also without their tag, which may be kept
	// beside the frame.
	Untagged bool
	Addrs    []netip.Addr
	// AcceptPartial is that of [Config].
	AcceptPartial bool
}

// Parser returns a parser of frames to this host. Which of its verdicts are about
// datagrams is the same as with a Stack; others are of no consequence.
func (r Receiver) Parser() Parser {
	p := Parser{mac: r.MAC, vlan: r.VLAN, untagged: r.Untagged, partial: r.AcceptPartial}
	for _, a := range r.Addrs {
		if a.Is4() {
			p.ipv4 = append(p.ipv4, a.As4())
		} else {
			p.ipv6 = append(p.ipv6, a.As16())
		}
	}
	if (r.VLAN == 0 || r.Untagged) && len(p.ipv4) > 0 {
		p.usual = newUsual(r.MAC, p.ipv4[0])
	}
	return p
}
