package cc

import "time"

// Ack is what one acknowledgement told. Times are since an epoch that the
// caller fixed once.
type Ack struct {
	Now time.Duration
	// Packets and Bytes are newly acknowledged.
	Packets, Bytes int
	// RTT is the sample this acknowledgement gave, less what the endpoints are
	// known to have added: the peer's delay in acknowledging, and time in
	// receive queues where the backend stamps arrivals; and less what the
	// acknowledgement waited for in queues on the way back, where the peer says when
	// packets arrive. 0 if it gave none.
	RTT time.Duration
	// Trip is RTT and what the acknowledgement waited for on the way back, where the
	// peer says when packets arrive, so that RTT does not have it; 0 if it gave none.
	Trip time.Duration
	// Sent is when the packet left that gave the sample. It is not Now less RTT,
	// by what the endpoints added.
	Sent time.Duration
	// Clock is what the peer's clock said when the packet arrived, in microseconds modulo
	// 2^32: all that send to one peer hear the same. 0 if it was not told.
	Clock uint32
	// CE is how many packets were newly reported to carry the ECN mark CE.
	CE int
	// InFlight is how many bytes remain unacknowledged.
	InFlight int
	// Datagram is the size of a full datagram on this path by now, in bytes; 0
	// means as before. It grows as larger ones are found to pass.
	Datagram int
}

// Loss is what was found lost at one time.
type Loss struct {
	Now   time.Duration
	Bytes int
	// Sent is when the latest of the lost packets left.
	Sent time.Duration
	// InFlight is how many bytes remain unacknowledged, the lost ones not counted.
	InFlight int
}

// Controller decides how much one path may carry, and how fast. One goroutine
// uses it at a time. Event methods are called once per burst, not per packet,
// and do not allocate. Times do not run backwards.
type Controller interface {
	// Sent reports bytes sent, and the bytes then in flight.
	Sent(now time.Duration, bytes, inFlight int)
	Acked(Ack)
	// Lost reports packets declared lost by later acknowledgements. It comes
	// before Acked, of the acknowledgement that told of both.
	Lost(Loss)
	// Spurious reports that bytes had arrived that were declared lost, or sent
	// again after a timeout.
	Spurious(now time.Duration, bytes int)
	// TimedOut reports that a retransmission timeout passed in silence.
	TimedOut(now time.Duration)
	// Window is how many bytes may be in flight; at least one datagram is
	// always allowed.
	Window() int
	// Rate is the pace of sending in bytes per second; 0 means as fast as the
	// window allows: nothing is paced, and pacing costs nothing.
	Rate() uint64
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
