package netstack

import (
	"encoding/binary"
	"net/netip"
)

// Types of ICMP (RFC 792) and ICMPv6 (RFC 4443, RFC 4861).
const (
	icmpEchoReply   = 0
	icmpUnreachable = 3
	icmpEcho        = 8

	icmpv6Unreachable   = 1
	icmpv6TooBig        = 2
	icmpv6Echo          = 128
	icmpv6EchoReply     = 129
	icmpv6Solicitation  = 135
	icmpv6Advertisement = 136
)

// fragmentationNeeded is the code of icmpUnreachable that RFC 1191 is about.
const fragmentationNeeded = 4

// icmpSize is the least that a message has: type, code, checksum and four bytes.
const icmpSize = 8

// inputIPv4 answers echo requests and notes what could not be delivered.
func (s *Stack) inputIPv4(f frame, mac MAC, emit func(frame []byte)) Verdict {
	b, v := ipv4(f.packet, false)
	if v != fine {
		return v
	}
	ip := f.packet[:ipv4Size]
	from, to := netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
	switch {
	case f.group || ip[9] != protoICMP || isFragment(ip) || !s.isLocal(to) || !s.isUnicast(from) || s.isLocal(from):
		return NotForUs
	case len(b) < icmpSize:
		return Malformed
	case sum(0, b) != 0xffff:
		return BadChecksum
	}
	switch b[0] {
	case icmpEcho:
		return s.echo(mac, to, from, b, icmpEchoReply, emit)
	case icmpUnreachable:
		if b[1] == fragmentationNeeded {
			s.counters.TooBig++
			return fine
		}
		return s.unreachable(b, false)
	}
	return NotForUs
}

// inputIPv6 answers echo requests and neighbour solicitations, learns, and notes
// what could not be delivered.
func (s *Stack) inputIPv6(now int64, f frame, mac MAC, emit func(frame []byte)) Verdict {
	b, v := ipv6(f.packet)
	if v != fine {
		return v
	}
	ip := f.packet[:ipv6Size]
	from, to := netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40]))
	switch {
	case ip[6] != protoICMPv6 || !from.IsUnspecified() && !s.isUnicast(from):
		return NotForUs
	case len(b) < icmpSize:
		return Malformed
	case sum(uint32(pseudo(ip[8:40], protoICMPv6, len(b))), b) != 0xffff:
		return BadChecksum
	}
	switch b[0] {
	case icmpv6Solicitation, icmpv6Advertisement:
		if ip[7] != ndpHops || b[1] != 0 {
			return NotForUs
		}
		if s.isLocal(from) {
			s.counters.Conflicts++
			return fine
		}
		if b[0] == icmpv6Solicitation {
			return s.solicited(now, mac, from, to, b, emit)
		}
		return s.advertised(now, to, b)
	}
	if f.group || from.IsUnspecified() || s.isLocal(from) || !s.isLocal(to) {
		return NotForUs
	}
	switch b[0] {
	case icmpv6Echo:
		return s.echo(mac, to, from, b, icmpv6EchoReply, emit)
	case icmpv6Unreachable:
		return s.unreachable(b, true)
	case icmpv6TooBig:
		s.counters.TooBig++
		return fine
	}
	return NotForUs
}

// echo answers a request with what it holds, to the station that it came from:
// that one knows the way back.
func (s *Stack) echo(mac MAC, from, to netip.Addr, request []byte, reply uint8, emit func(frame []byte)) Verdict {
	header := ipv4Size
	if to.Is6() {
		header = ipv6Size
	}
	if header+len(request) > s.mtu || request[1] != 0 {
		return NotForUs
	}
	b := s.openICMP(mac, from, to, hopLimit, len(request))
	b = append(b, reply)
	b = append(b, request[1:]...)
	s.sendICMP(b, len(request), to.Is6(), emit)
	s.counters.EchoReplies++
	return fine
}

// openICMP begins a frame, up to an ICMP message of some length.
func (s *Stack) openICMP(mac MAC, from, to netip.Addr, hops uint8, length int) []byte {
	if to.Is4() {
		return appendIP(s.open(mac, typeIPv4), from, to, protoICMP, hops, length)
	}
	return appendIP(s.open(mac, typeIPv6), from, to, protoICMPv6, hops, length)
}

// sendICMP completes the checksum of the message that a frame ends with, and
// sends it. ICMPv6 has a pseudo-header.
func (s *Stack) sendICMP(b []byte, length int, ipv6 bool, emit func(frame []byte)) {
	at := len(b) - length
	message, part := b[at:], uint16(0)
	if ipv6 {
		part = pseudo(b[at-32:at], protoICMPv6, length)
	}
	clear(message[2:4])
	binary.BigEndian.PutUint16(message[2:], ^sum(uint32(part), message))
	s.send(b, emit)
}
