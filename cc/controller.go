package cc

import "time"

// Ack is what one acknowledgement told. Times are since an epoch that the
// caller fixed once.
type Ack struct {
	Now time.Duration
	// Packets and Bytes are newly acknowledged.
	Packets, Bytes int
	// RTT is the sample this acknowledgement gave, less the peer's delay in
	// acknowledging; 0 if it gave none.
	RTT time.Duration
	// CE is how many packets were newly reported to carry the ECN mark CE.
	CE int
	// InFlight is how many bytes remain unacknowledged.
	InFlight int
}

// Controller decides how much one path may carry. One goroutine uses it at a
// time. Event methods are called once per burst, not per packet.
type Controller interface {
	// Sent reports bytes sent, and the bytes then in flight.
	Sent(now time.Duration, bytes, inFlight int)
	Acked(Ack)
	// Lost reports bytes declared lost by later acknowledgements.
	Lost(now time.Duration, bytes int)
	// TimedOut reports that a retransmission timeout passed in silence.
	TimedOut(now time.Duration)
	// Window is how many bytes may be in flight; at least one datagram is
	// always allowed.
	Window() int
}

// Path is what a Factory may know of the path it makes a Controller for.
type Path struct {
	// Datagram is the smallest MTU the path is sure to carry, in bytes.
	Datagram int
	// LinkRate is the local link's rate in bits per second, 0 if unknown.
	LinkRate uint64
}

// Factory makes a Controller for a new path.
type Factory func(Path) Controller
