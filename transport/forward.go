package transport

// Forwarder is implemented by transports that can send what another one received
// from where it lies.
type Forwarder interface {
	// Forwards says whether packets that from received can be sent here as they
	// lie: one memory serves both. Constant while both are open.
	Forwards(from Transport) bool

	// Forward is Send of packets that from received and that were not released,
	// pkts[i] on routes[i] with its own ECN. Data must be as Recv left it.
	// What it took, the first n, it clears: the memory goes back to from once
	// it was sent, and is not to be released. The rest stays the caller's.
	//
	// Forwarded packets count in Stats and not in Completed. Both transports have
	// the same owner, who calls it.
	Forward(from Transport, pkts []RxPacket, routes []Route) (n int, err error)
}
