package netstack

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
)

// FirstPort is the first of the dynamic ports (RFC 6335, section 6).
const FirstPort = 49152

// SourcePort finds a dynamic port such that the hash under key of what peer sends to
// it leads, by a device's table, to queue. take says whether the port is to be had;
// it is asked until it says yes. Where no port will do it is false.
func SourcePort(key []byte, table []uint16, queue int, own netip.Addr, peer netip.AddrPort, take func(uint16) bool) (uint16, bool) {
	const choices = 1<<16 - FirstPort
	start := rand.IntN(choices)
	for i := range choices {
		port := uint16(FirstPort + (start+i)%choices)
		hash := Toeplitz(key, peer, netip.AddrPortFrom(own, port))
		if int(table[hash%uint32(len(table))]) == queue && take(port) {
			return port, true
		}
	}
	return 0, false
}

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
