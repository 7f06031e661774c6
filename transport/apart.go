package transport

import "net/netip"

// ApartDialer is implemented by transports that can send from many ports of their
// own, so that one peer sees many senders.
type ApartDialer interface {
	// DialApart is Dial from a port that nothing else comes from, chosen by the
	// transport. What is sent to that port arrives here, with [RxPacket.Port]
	// telling so. Forget gives the port up with the route. The owner calls it.
	DialApart(addr netip.AddrPort) (r Route, port uint16, err error)
}
