package netstack

import (
	"encoding/binary"
	"net/netip"
	"syscall"
)

// Unreachable is word that a datagram of ours could not be delivered. Anybody on
// the way may send it.
type Unreachable struct {
	From, To netip.AddrPort // of the datagram; From is ours
	Err      syscall.Errno  // ECONNREFUSED, EHOSTUNREACH, ENETUNREACH or EACCES
	Data     []byte         // what came back of its payload, from the first byte
}

const (
	// maxUnreachables is how many are kept, the newest.
	maxUnreachables = 16
	// QuotedPayload is the most that is kept of a payload.
	QuotedPayload = 256
)

// unreachables are kept in a ring.
type unreachables [maxUnreachables]struct {
	Unreachable
	data [QuotedPayload]byte
}

// Heard is how many datagrams were reported unreachable so far.
func (s *Stack) Heard() uint64 { return s.heard.Load() }

// Unreachable returns the first report, with its number, that is kept and comes
// after one that was returned before, or after Heard at some time. Its Data lies
// in data, which has room for QuotedPayload bytes.
func (s *Stack) Unreachable(after uint64, data []byte) (u Unreachable, number uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := s.heard.Load()
	if after >= heard {
		return u, heard, false
	}
	if heard > maxUnreachables {
		after = max(after, heard-maxUnreachables)
	}
	u = s.unreachables[after%maxUnreachables].Unreachable
	u.Data = data[:copy(data, u.Data)]
	return u, after + 1, true
}

// unreachable takes in what an ICMP message of either version quotes.
func (s *Stack) unreachable(message []byte, ipv6 bool) Verdict {
	u, ok := quotedDatagram(message, ipv6)
	if !ok || !s.isLocal(u.From.Addr()) {
		return NotForUs
	}
	u.Err = unreachableReason(message[1], ipv6)
	kept := &s.unreachables[s.heard.Load()%maxUnreachables]
	kept.Unreachable = u
	kept.Data = kept.data[:copy(kept.data[:], u.Data)]
	s.heard.Add(1)
	return fine
}

// unreachableReason translates the code of a message (RFC 792, RFC 1812, RFC 4443).
func unreachableReason(code uint8, ipv6 bool) syscall.Errno {
	const beyond = 0x100 // codes of ICMPv6
	of := int(code)
	if ipv6 {
		of += beyond
	}
	switch of {
	case 3, beyond + 4:
		return syscall.ECONNREFUSED
	case 0, 6, beyond + 0:
		return syscall.ENETUNREACH
	case 9, 10, 13, beyond + 1, beyond + 5, beyond + 6:
		return syscall.EACCES
	}
	return syscall.EHOSTUNREACH
}

// quotedDatagram finds the datagram that a message of at least icmpSize bytes
// quotes.
func quotedDatagram(message []byte, ipv6 bool) (u Unreachable, ok bool) {
	packet := message[icmpSize:]
	// Behind the quotation may be extensions; then its length is told (RFC 4884).
	told := int(message[5]) * 4
	if ipv6 {
		told = int(message[4]) * 8
	}
	if told > 0 {
		packet = packet[:min(told, len(packet))]
	}
	header, proto, total := 0, uint8(0), 0
	switch {
	case !ipv6 && len(packet) >= ipv4Size && packet[0]>>4 == 4 && binary.BigEndian.Uint16(packet[6:])&0x1fff == 0:
		header, proto, total = int(packet[0]&15)*4, packet[9], int(binary.BigEndian.Uint16(packet[2:]))
		u.From = netip.AddrPortFrom(netip.AddrFrom4([4]byte(packet[12:])), 0)
		u.To = netip.AddrPortFrom(netip.AddrFrom4([4]byte(packet[16:])), 0)
	case ipv6 && len(packet) >= ipv6Size && packet[0]>>4 == 6:
		header, proto, total = ipv6Size, packet[6], ipv6Size+int(binary.BigEndian.Uint16(packet[4:]))
		u.From = netip.AddrPortFrom(netip.AddrFrom16([16]byte(packet[8:])), 0)
		u.To = netip.AddrPortFrom(netip.AddrFrom16([16]byte(packet[24:])), 0)
	}
	packet = packet[:min(total, len(packet))]
	if proto != protoUDP || header < ipv4Size || len(packet) < header+udpSize {
		return Unreachable{}, false
	}
	udp := packet[header:]
	u.From = netip.AddrPortFrom(u.From.Addr(), binary.BigEndian.Uint16(udp))
	u.To = netip.AddrPortFrom(u.To.Addr(), binary.BigEndian.Uint16(udp[2:]))
	length := int(binary.BigEndian.Uint16(udp[4:]))
	u.Data = udp[udpSize:max(udpSize, min(length, len(udp)))]
	return u, true
}
