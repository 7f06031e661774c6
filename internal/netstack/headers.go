package netstack

import (
	"encoding/binary"
	"net/netip"
)

// Headers are the Ethernet, IP and UDP headers of one route, built once. The
// flow label is 0, the hop limit 64, and IPv4 packets have don't-fragment set.
//
// A Headers is its owner's; it has no pointers, and copies are independent.
type Headers struct {
	bytes  [maxHeaders - udpSize]byte // Ethernet and IP
	ports  uint64                     // the first half of UDP
	length uint8
	link   uint8 // length of the Ethernet header
	ipv6   bool

	// Sums of what does not change from packet to packet.
	ipv4Sum   uint32
	pseudoSum uint32
}

// Link is the Ethernet part of a route.
type Link struct {
	From, To MAC
	VLAN     uint16 // 0: untagged
}

// NewHeaders builds the headers for datagrams between two addresses of one
// family.
func NewHeaders(link Link, from, to netip.AddrPort) Headers {
	h := Headers{ipv6: to.Addr().Is6()}
	b, kind := h.bytes[:0], uint16(typeIPv4)
	if h.ipv6 {
		kind = typeIPv6
	}
	b = appendEthernet(b, link.To, link.From, link.VLAN, kind)
	h.link = uint8(len(b))
	b = appendIP(b, from.Addr(), to.Addr(), protoUDP, hopLimit, 0)

	ip := b[h.link:]
	if h.ipv6 {
		h.pseudoSum = uint32(pseudo(ip[8:40], protoUDP, 0))
	} else {
		clear(ip[2:4])
		clear(ip[10:12])
		h.ipv4Sum = uint32(sum(0, ip))
		h.pseudoSum = uint32(pseudo(ip[12:20], protoUDP, 0))
	}

	h.ports = uint64(from.Port())<<48 | uint64(to.Port())<<32
	h.length = uint8(len(b) + udpSize)
	return h
}

// Len is the length of the headers, in bytes.
func (h *Headers) Len() int { return int(h.length) }

// LinkLen is the length of the first of them, Ethernet with its tag; NetworkLen
// is that of the second, IP. Offload descriptors want them.
func (h *Headers) LinkLen() int { return int(h.link) }

// NetworkLen is the length of the IP header.
func (h *Headers) NetworkLen() int { return int(h.length) - udpSize - int(h.link) }

// Put writes the headers of a datagram into the Len bytes in front of its
// payload, whose length is what the MTU allows at most. ecn is from 0 to 3.
//
// UDP's checksum holds the pseudo-header's sum, as checksum offload wants it.
// Where there is none, Complete follows.
func (h *Headers) Put(b []byte, payload int, ecn uint8) {
	b = b[:h.length]
	copy(b, h.bytes[:])
	length := uint32(udpSize + payload)
	ip, udp := b[h.link:], b[len(b)-udpSize:]
	if h.ipv6 {
		ip[1] = ecn << 4 // the low bits of the traffic class are in the middle of the first word
		binary.BigEndian.PutUint16(ip[4:], uint16(length))
	} else {
		total := ipv4Size + length
		binary.BigEndian.PutUint32(ip, 0x45<<24|uint32(ecn)<<16|total)
		binary.BigEndian.PutUint16(ip[10:], ^fold(h.ipv4Sum+total+uint32(ecn)))
	}
	// In one piece, as Complete and some devices read it at once.
	binary.BigEndian.PutUint64(udp, h.ports|uint64(length)<<16|uint64(fold(h.pseudoSum+length)))
}

// Complete computes UDP's checksum of a frame, headers by Put and payload. The
// pseudo-header's sum is where the checksum goes, and so is part of it.
func (h *Headers) Complete(frame []byte) {
	udp := frame[h.length-udpSize:]
	putChecksum(udp, sum(0, udp))
}

func putChecksum(udp []byte, sum uint16) {
	check := ^sum
	if check == 0 {
		check = 0xffff // 0 says that there is none
	}
	binary.BigEndian.PutUint16(udp[6:], check)
}

// PayloadSum is what the checksum that a datagram came with says of its payload: the
// sum of that, which nobody need compute again to send it on (RFC 1624). headers are
// what lies in front of the payload; from and to are what Parse found. known is false
// where there was no checksum, or may have been an unfinished one: that of the
// pseudo-header.
func PayloadSum(headers []byte, from netip.AddrPort, to netip.Addr) (payload uint16, known bool) {
	udp := headers[len(headers)-udpSize:]
	check := binary.BigEndian.Uint16(udp[6:])
	length := uint32(binary.BigEndian.Uint16(udp[4:]))
	part := fold(sumOf(from.Addr()) + sumOf(to) + protoUDP + length)
	if check == 0 || check == part {
		return 0, false
	}
	return ^fold(uint32(check) + uint32(sum(uint32(part), udp[:6]))), true
}

// sumOf is the sum of an address, of 17 bits at most.
func sumOf(a netip.Addr) uint32 {
	if a.Is4() {
		b := a.As4()
		return uint32(binary.BigEndian.Uint16(b[:])) + uint32(binary.BigEndian.Uint16(b[2:]))
	}
	b := a.As16()
	return uint32(sum(0, b[:]))
}

// CompleteWith is Complete where the payload's sum is known.
func (h *Headers) CompleteWith(frame []byte, payload uint16) {
	udp := frame[h.length-udpSize:][:udpSize]
	putChecksum(udp, sum(uint32(payload), udp))
}
