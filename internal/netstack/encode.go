package netstack

import (
	"encoding/binary"
	"net/netip"
)

// EtherTypes.
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeVLAN = 0x8100 // IEEE 802.1Q
	typeIPv6 = 0x86dd
)

// IP protocols.
const (
	protoICMP     = 1
	protoUDP      = 17
	protoFragment = 44 // IPv6 header
	protoICMPv6   = 58
)

// Sizes in bytes.
const (
	ethernetSize = 14
	tagSize      = 4
	ipv4Size     = 20
	ipv6Size     = 40
	udpSize      = 8
	// maxHeaders is the longest that Headers get.
	maxHeaders = ethernetSize + tagSize + ipv6Size + udpSize
)

// hopLimit is that of all packets whose receiver does not ask for another.
const hopLimit = 64

const dontFragment = 0x4000

// appendEthernet appends a header, with a tag unless vlan is 0.
func appendEthernet(b []byte, to, from MAC, vlan, etherType uint16) []byte {
	b = append(b, to[:]...)
	b = append(b, from[:]...)
	if vlan != 0 {
		b = binary.BigEndian.AppendUint16(b, typeVLAN)
		b = binary.BigEndian.AppendUint16(b, vlan)
	}
	return binary.BigEndian.AppendUint16(b, etherType)
}

// appendIP appends a header of either version. An IPv4 packet is never to be
// fragmented, and then its identification may be 0 (RFC 6864, section 4.1).
func appendIP(b []byte, from, to netip.Addr, proto, hops uint8, body int) []byte {
	start := len(b)
	if to.Is4() {
		b = append(b, 0x45, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(ipv4Size+body))
		b = append(b, 0, 0, dontFragment>>8, 0, hops, proto, 0, 0)
		b = append(b, from.AsSlice()...)
		b = append(b, to.AsSlice()...)
		binary.BigEndian.PutUint16(b[start+10:], ^sum(0, b[start:]))
		return b
	}
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(body))
	b = append(b, proto, hops)
	b = append(b, from.AsSlice()...)
	return append(b, to.AsSlice()...)
}

// pseudo is the sum of the pseudo-header of UDP or ICMPv6 over addresses as they
// stand in the IP header (RFC 768; RFC 8200, section 8.1).
func pseudo(addrs []byte, proto uint8, length int) uint16 {
	return sum(uint32(proto)+uint32(length), addrs)
}
