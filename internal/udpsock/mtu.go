package udpsock

import (
	"net"
	"net/netip"
)

// Sizes of the IP and UDP headers, and the most that fits behind them into the
// length fields of 16 bits.
const (
	headers4, maxPayload4 = 20 + 8, 1<<16 - 1 - 20 - 8
	headers6, maxPayload6 = 40 + 8, 1<<16 - 1 - 8
)

// MaxPayload is the most bytes that a datagram on a link of that MTU carries. A
// socket of both families counts the larger headers.
func MaxPayload(mtu int, ipv6 bool) int {
	if ipv6 {
		return min(mtu-headers6, maxPayload6)
	}
	return min(mtu-headers4, maxPayload4)
}

// LinkMTU is the MTU of the interface that has addr, or the largest of those
// that are up if addr is a wildcard or invalid.
func LinkMTU(addr netip.Addr) int {
	const ethernet = 1500
	wildcard := !addr.IsValid() || addr.IsUnspecified()
	ifs, err := net.Interfaces()
	if err != nil {
		return ethernet
	}
	mtu := 0
	for _, i := range ifs {
		if i.Flags&net.FlagUp != 0 && (wildcard || has(i, addr)) {
			mtu = max(mtu, min(i.MTU, maxMTU))
		}
	}
	if mtu < minMTU {
		return ethernet
	}
	return mtu
}

func has(i net.Interface, addr netip.Addr) bool {
	// All of 127.0.0.0/8 is the loopback's, though it lists one address.
	if addr.IsLoopback() {
		return i.Flags&net.FlagLoopback != 0
	}
	addrs, err := i.Addrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && prefix.Addr().WithZone("") == addr.WithZone("") {
			return true
		}
	}
	return false
}
