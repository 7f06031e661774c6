package netstack

import (
	"encoding/binary"
	"net/netip"
)

// Options of neighbour discovery (RFC 4861, section 4.6.1).
const (
	optionSourceMAC = 1
	optionTargetMAC = 2
)

// Flags of an advertisement.
const (
	flagSolicited = 1 << 30
	flagOverride  = 1 << 29
)

// ndpSize is that of a solicitation or advertisement without options.
const ndpSize = 24

// ndpHops is a hop limit that proves that no router has passed a packet on.
const ndpHops = 255

var (
	allNodes    = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x01})
	allNodesMAC = MAC{0x33, 0x33, 0, 0, 0, 0x01}
)

// linkLocal derives an address from a MAC (RFC 4291, appendix A).
func linkLocal(m MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{
		0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5],
	})
}

// solicitedNode is the group in which the owner of addr is asked for (RFC 4291,
// section 2.7.1), and its MAC (RFC 2464, section 7).
func solicitedNode(addr netip.Addr) (netip.Addr, MAC) {
	a := addr.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 0x01, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]}),
		MAC{0x33, 0x33, 0xff, a[13], a[14], a[15]}
}

// solicited answers a neighbour solicitation from a station at mac.
func (s *Stack) solicited(now int64, mac MAC, from, to netip.Addr, b []byte, emit func(frame []byte)) Verdict {
	option, v := ndpOption(b, optionSourceMAC)
	if v != fine {
		return v
	}
	target := netip.AddrFrom16([16]byte(b[8:24]))
	group, _ := solicitedNode(target)
	if !s.isLocal(target) || to != target && to != group {
		return NotForUs
	}
	if from.IsUnspecified() {
		// Somebody else wants to use our address: say to all that it is taken.
		if to != group || option != (MAC{}) {
			return Malformed
		}
		s.counters.Conflicts++
		s.advertise(allNodesMAC, target, allNodes, false, emit)
	} else {
		if s.isOther(option) {
			s.hear(now, from, option, true)
			mac = option
		}
		s.advertise(mac, target, from, true, emit)
	}
	s.counters.Advertisements++
	return fine
}

// advertised takes a neighbour advertisement (RFC 4861, section 7.2.5).
func (s *Stack) advertised(now int64, to netip.Addr, b []byte) Verdict {
	mac, v := ndpOption(b, optionTargetMAC)
	if v != fine {
		return v
	}
	flags := binary.BigEndian.Uint32(b[4:])
	target := netip.AddrFrom16([16]byte(b[8:24]))
	if target.IsMulticast() || to.IsMulticast() && flags&flagSolicited != 0 {
		return Malformed
	}
	if s.isLocal(target) {
		s.counters.Conflicts++
		return fine
	}
	n := s.neighbours.table[target]
	if n == nil {
		return NotForUs
	}
	old, known := n.MAC()
	switch {
	case mac == MAC{} && known && flags&flagSolicited != 0: // a unicast answer may leave it out
		s.learn(now, n, old)
	case !s.isOther(mac):
		return NotForUs
	case known && mac != old && flags&flagOverride == 0:
		s.neighbours.schedule(n, now) // in doubt the one that we use is asked
	default:
		s.learn(now, n, mac)
	}
	return fine
}

// ndpOption returns the MAC in an option of a message, or zeros if it is not
// there. All options must be well-formed.
func ndpOption(b []byte, kind uint8) (MAC, Verdict) {
	var mac MAC
	if len(b) < ndpSize {
		return mac, Malformed
	}
	for b = b[ndpSize:]; len(b) > 0; {
		if len(b) < 2 {
			return mac, Malformed
		}
		length := int(b[1]) * 8
		if length == 0 || length > len(b) {
			return mac, Malformed
		}
		if b[0] == kind {
			mac = MAC(b[2:8])
		}
		b = b[length:]
	}
	return mac, fine
}

// sendSolicitation asks for the owner of target, at the MAC that it last had or
// of everybody.
func (s *Stack) sendSolicitation(mac MAC, from, target netip.Addr, emit func(frame []byte)) {
	to := target
	if mac == broadcast {
		to, mac = solicitedNode(target)
	}
	s.sendNDP(mac, from, to, icmpv6Solicitation, 0, target, optionSourceMAC, emit)
}

// advertise says that addr is ours.
func (s *Stack) advertise(mac MAC, addr, to netip.Addr, solicited bool, emit func(frame []byte)) {
	flags := uint32(flagOverride)
	if solicited {
		flags |= flagSolicited
	}
	s.sendNDP(mac, addr, to, icmpv6Advertisement, flags, addr, optionTargetMAC, emit)
}

func (s *Stack) sendNDP(
	mac MAC, from, to netip.Addr, kind uint8, flags uint32, target netip.Addr, option uint8, emit func(frame []byte),
) {
	const length = ndpSize + 8
	b := s.openICMP(mac, from, to, ndpHops, length)
	b = append(b, kind, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, flags)
	b = append(b, target.AsSlice()...)
	b = append(b, option, 1)
	b = append(b, s.parser.mac[:]...)
	s.sendICMP(b, length, true, emit)
}
