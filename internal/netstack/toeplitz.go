package netstack

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
)

// FirstPort is the first of the dynamic ports (RFC 6335, section 6).
const FirstPort = 49152

// Hash is how a device spreads datagrams between two addresses of one family over its
// queues.
type Hash func(from, to netip.AddrPort) uint32

// SourcePort finds a dynamic port such that the hash of what peer sends to it leads,
// by a device's table, to queue. take says whether the port is to be had; it is asked
// until it says yes. Where no port will do it is false.
func SourcePort(hash Hash, table []uint16, queue int, own netip.Addr, peer netip.AddrPort, take func(uint16) bool) (uint16, bool) {
	const choices = 1<<16 - FirstPort
	start := rand.IntN(choices)
	for i := range choices {
		port := uint16(FirstPort + (start+i)%choices)
		value := hash(peer, netip.AddrPortFrom(own, port))
		if int(table[value%uint32(len(table))]) == queue && take(port) {
			return port, true
		}
	}
	return 0, false
}

// Toeplitz is the hash by which most devices spread, under a key of at least 40 bytes
// (Microsoft, "RSS Hashing Functions").
func Toeplitz(key []byte) Hash {
	return func(from, to netip.AddrPort) uint32 {
		return toeplitz(0, key, from.Addr(), to.Addr(), from.Port(), to.Port())
	}
}

// enaKey is in ENA devices of which the key cannot be set (Amazon, ena-toeplitz).
var enaKey = []byte{
	0xbe, 0xac, 0x01, 0xfa, 0x6a, 0x42, 0xb7, 0x3b, 0x80, 0x30, 0xf2, 0x0c, 0x77, 0xcb, 0x2d, 0xa3, 0xae, 0x7b, 0x30, 0xb4,
	0xd0, 0xca, 0x2b, 0xcb, 0x43, 0xa3, 0x8f, 0xb0, 0x41, 0x67, 0x25, 0x3d, 0x25, 0x5b, 0x0e, 0xc2, 0x6d, 0x5a, 0x56, 0xda,
}

// ENA is the hash of those devices: addresses and ports are sorted, each for
// themselves, so that both directions are alike, and 16 bits are used, twice. Amazon
// tells it of IPv4; that IPv6 is no different is a guess.
func ENA(from, to netip.AddrPort) uint32 {
	low, high := from.Addr(), to.Addr()
	if high.Less(low) {
		low, high = high, low
	}
	half := toeplitz(1<<32-1, enaKey, low, high, min(from.Port(), to.Port()), max(from.Port(), to.Port())) & 0xffff
	return half<<16 | half
}

// toeplitz begins at hash.
func toeplitz(hash uint32, key []byte, from, to netip.Addr, fromPort, toPort uint16) uint32 {
	var input [2*16 + 2*2]byte
	b := append(input[:0], from.AsSlice()...)
	b = append(b, to.AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, fromPort)
	b = binary.BigEndian.AppendUint16(b, toPort)
	window := binary.BigEndian.Uint64(key)
	for i, octet := range b {
		for bit := 7; bit >= 0; bit-- {
			if octet>>bit&1 != 0 {
				hash ^= uint32(window >> 32)
			}
			window <<= 1
		}
		if next := i + 8; next < len(key) {
			window |= uint64(key[next])
		}
	}
	return hash
}
