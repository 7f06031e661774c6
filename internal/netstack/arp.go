package netstack

import (
	"encoding/binary"
	"net/netip"
)

// Operations of ARP (RFC 826).
const (
	arpRequest = 1
	arpReply   = 2
)

const arpSize = 28

// arpHead says Ethernet and IPv4: hardware 1, protocol 0x0800, six and four bytes.
const arpHead = "\x00\x01\x08\x00\x06\x04"

// inputARP answers requests for our addresses, and learns.
func (s *Stack) inputARP(now int64, f frame, emit func(frame []byte)) Verdict {
	if len(f.packet) < arpSize {
		return Malformed
	}
	b := f.packet[:arpSize]
	if string(b[:6]) != arpHead {
		return NotForUs
	}
	op := binary.BigEndian.Uint16(b[6:])
	mac, from := MAC(b[8:14]), netip.AddrFrom4([4]byte(b[14:18]))
	target := netip.AddrFrom4([4]byte(b[24:28]))
	switch {
	case op != arpRequest && op != arpReply:
		return NotForUs
	case !s.isOther(mac):
		return NotForUs
	case s.isLocal(from):
		s.counters.Conflicts++
		return fine
	case !from.IsUnspecified() && !s.isUnicast(from):
		return NotForUs
	}

	asked := op == arpRequest && s.isLocal(target)
	// A sender without an address looks whether ours is free (RFC 5227).
	known := !from.IsUnspecified() && s.hear(now, from, mac, asked)
	if asked {
		s.sendARP(arpReply, mac, target, mac, from, emit)
		s.counters.ARPReplies++
	} else if !known {
		return NotForUs
	}
	return fine
}

// hear updates the neighbour at addr. Who asked for us becomes one.
func (s *Stack) hear(now int64, addr netip.Addr, mac MAC, asked bool) bool {
	n := s.neighbours.table[addr]
	if n == nil && asked && s.isNear(addr) {
		n = s.neighbours.get(now, addr)
	}
	if n == nil {
		return false
	}
	s.learn(now, n, mac)
	return true
}

// sendARP sends a request or reply to a station, or to all.
func (s *Stack) sendARP(op uint16, to MAC, from netip.Addr, targetMAC MAC, target netip.Addr, emit func(frame []byte)) {
	b := append(s.open(to, typeARP), arpHead...)
	b = binary.BigEndian.AppendUint16(b, op)
	b = append(b, s.parser.mac[:]...)
	b = append(b, from.AsSlice()...)
	b = append(b, targetMAC[:]...)
	b = append(b, target.AsSlice()...)
	s.send(b, emit)
}
