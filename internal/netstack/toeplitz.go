package netstack

import (
	"encoding/binary"
	"net/netip"
)

// Toeplitz is the hash by which devices spread datagrams over their queues, of a
// UDP datagram between two addresses of one family, by a key of at least 40
// bytes (Microsoft, "RSS Hashing Functions").
func Toeplitz(key []byte, from, to netip.AddrPort) uint32 {
	var input [2*16 + 2*2]byte
	b := append(input[:0], from.Addr().AsSlice()...)
	b = append(b, to.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	hash := uint32(0)
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
