package transport

import (
	"errors"
	"net/netip"
	"syscall"
	"time"
)

// Errors a caller decides on. Backends wrap them with context.
var (
	// ErrClosed is returned by every method of a Transport after Close.
	ErrClosed = errors.New("transport: closed")
	// ErrUnavailable says that this binary or host lacks the backend. The
	// wrapping error says what to do.
	ErrUnavailable = errors.New("transport: backend unavailable")
)

// ECN is the two-bit congestion field of an IP header (RFC 3168).
type ECN uint8

// The four code points.
const (
	NotECT ECN = 0 // sender does not understand ECN
	ECT1   ECN = 1
	ECT0   ECN = 2
	CE     ECN = 3 // a queue on the path was congested
)

// Route is a resolved destination: an index into a table of the backend, made
// by Resolve. It is comparable, and cheap enough to be looked up per packet.
type Route uint32

// RxPacket is one received datagram.
type RxPacket struct {
	// Data is the datagram's payload, in the backend's memory. Read-only:
	// frames may be shared. Valid until Release.
	Data []byte
	// From is the sender.
	From netip.AddrPort
	// To is the address of this host that the sender used, where LocalAddr alone
	// does not say: of a queue on a wildcard address, or with several addresses.
	// Give it to Resolve to answer from it. The zero Addr elsewhere.
	To netip.Addr
	// Port is the port of this host that the sender used, where it may be another
	// than that of LocalAddr, as with an [ApartDialer]. 0 elsewhere.
	Port uint16
	// ECN is the code point of the received IP header, or NotECT where the
	// backend cannot tell.
	ECN ECN
	// Waited is how long the datagram lay on this host before Recv, where the
	// backend has receive timestamps; else 0.
	Waited time.Duration
	// Handle is the backend's own; others carry it unread from Recv to Release.
	Handle uint64
}

// Dialer is implemented by transports on which the source port of a connection
// decides which queue receives its answers.
type Dialer interface {
	// Dial is Resolve for a connection that begins here: packets on the route may
	// come from another port than that of LocalAddr, chosen so that answers to it
	// arrive at this queue. The owner calls it.
	Dial(addr netip.AddrPort) (Route, error)
}

// Dial is tr's Dial if it is a [Dialer], and its Resolve if not.
func Dial(tr Transport, addr netip.AddrPort) (Route, error) {
	if d, ok := tr.(Dialer); ok {
		return d.Dial(addr)
	}
	return tr.Resolve(addr, netip.Addr{})
}

// Unreachable is word from a host or router that it could not deliver a
// datagram of ours. Anybody may forge it: believe it where Data proves that the
// datagram was seen, or where little depends on it.
type Unreachable struct {
	// To is where the datagram was going.
	To netip.AddrPort
	// Err says why: it matches [syscall.ECONNREFUSED] where the host is there
	// and nobody listens at the port, [syscall.EHOSTUNREACH],
	// [syscall.ENETUNREACH], [syscall.EACCES] (forbidden by a firewall).
	Err error
	// Data is what came back of the datagram's payload, from its first byte;
	// often cut short, or empty. Valid until the next call of NextUnreachable.
	Data []byte
}

// Refused says whether the host is there and nobody listens at the port.
func (u *Unreachable) Refused() bool { return errors.Is(u.Err, syscall.ECONNREFUSED) }

// UnreachableReporter is implemented by transports that hear of datagrams which
// could not be delivered.
type UnreachableReporter interface {
	// NextUnreachable takes the oldest report; ok is false if there is none.
	// Only so many are kept, the newest; the rest are lost. Wait returns while
	// there is one. The owner calls it, after Recv; it is cheap without one.
	NextUnreachable() (u Unreachable, ok bool)
}

// TxPacket is one datagram to send: Head followed by Payload.
type TxPacket struct {
	// Route is the destination.
	Route Route
	// ECN is the code point to set, where the backend can.
	ECN ECN
	// Head is memory lent by Reserve, resliced by the caller to what it wrote.
	// It must start at the lent slice's first byte.
	Head []byte
	// Payload is the message's own memory, or nil. It must not change until
	// Completed passes this packet's number.
	Payload []byte
}

// Transport is one queue of one backend. See the package comment for who may
// touch which memory until when, and which goroutine may call.
type Transport interface {
	// Resolve turns an address into a Route. Packets on it leave from source, an
	// address of this host as in [RxPacket.To]; the zero Addr leaves the choice to
	// the backend. It never blocks: where the
	// neighbour is not known yet the backend asks for it, and packets sent
	// meanwhile are dropped and counted. An error is permanent: wrong family,
	// no route to that network, not an address of this host. The caller gives the
	// Route back by Forget.
	Resolve(addr netip.AddrPort, source netip.Addr) (Route, error)

	// Forget gives back a Route. Packets that Send accepted still go out.
	Forget(Route)

	// Reserve sets Head in as many of pkts as it can, from the front, to
	// transmit buffers of length Caps().MaxPayload, and returns their number.
	// Zero means that all buffers are in flight: call again after Recv or Wait.
	// Reserved buffers are the caller's until it passes them to Send.
	Reserve(pkts []TxPacket) int

	// Send takes packets from the front of pkts and returns how many it took.
	// Their Heads belong to the backend again, and Head and Payload fields are
	// cleared. What it did not take stays the caller's, unchanged, to be sent
	// later: n < len(pkts) with a nil error means that the queue is full, and
	// Wait will return when there is room again.
	//
	// A taken packet may still be lost, as on any network: refused by the
	// kernel, larger than the path allows. Such drops are counted in Stats and
	// are no error. An error means that this Transport is of no more use.
	Send(pkts []TxPacket) (n int, err error)

	// Completed returns how many of the packets that Send took since Open, in
	// the order taken, have their Payload memory released. It only grows. For
	// a backend that copies it equals the number taken.
	Completed() uint64

	// Recv fills pkts from the front with datagrams that have arrived and
	// returns their number, at once, also if it is zero. Truncated datagrams
	// are dropped and counted. An error means that this Transport is of no
	// more use.
	Recv(pkts []RxPacket) (n int, err error)

	// Release gives back the memory of packets that Recv returned, each once,
	// in any order and grouping. A backend may stop receiving while too many
	// are held (Caps().RxBuffers).
	Release(pkts []RxPacket)

	// Wait blocks until Recv would return something, a full send queue has
	// room, Wake was called, or timeout has passed; negative means no timeout.
	// It returns at once if Wake was called since Wait last returned: no
	// wake-up is ever lost. It may return early for no reason.
	Wait(timeout time.Duration) error

	// Wake makes the present or the next Wait return. Any goroutine may call
	// it at any time, also after Close.
	Wake()

	// LocalAddr is the address that peers reach this queue by. Constant.
	LocalAddr() netip.AddrPort

	// Caps says what this queue can do. Constant after Open.
	Caps() Caps

	// Stats returns the counters so far. Any goroutine may call it.
	Stats() Stats

	// Close releases everything: descriptors, memory, goroutines, kernel
	// objects. Views from Recv and buffers from Reserve become invalid. The
	// owner must not be inside another method but Wait, which returns
	// ErrClosed. Any goroutine may call it; closing twice is no error.
	Close() error
}

// Caps describes what a queue really obtained, not what was asked for.
type Caps struct {
	// Backend is the registered name, for messages: "udp".
	Backend string
	// MaxPayload is the most bytes one datagram may carry here, from the
	// device's MTU. The path may allow less: that is for the engine to probe.
	MaxPayload int
	// RxBatch and TxBatch are the batch sizes that serve this backend best.
	RxBatch, TxBatch int
	// RxBuffers is how many received datagrams may be held unreleased before
	// the backend stops receiving.
	RxBuffers int
	// Queue of Queues: this queue's index among those of one address.
	Queue, Queues int
	// ZeroCopyRx and ZeroCopyTx say that payload is not copied by the kernel.
	ZeroCopyRx, ZeroCopyTx bool
	// SegmentTx says that runs of equal-sized packets to one route go down as
	// one send; SegmentRx that they come up as one receive.
	SegmentTx, SegmentRx bool
	// ECN says that code points are set and reported.
	ECN bool
	// RxTimestamps says that RxPacket.Waited is reported.
	RxTimestamps bool
	// Integrity says that a damaged datagram is not delivered: some checksum is
	// verified below. Where it is false the engine adds its own.
	Integrity bool
	// RecvBuffer and SendBuffer are the queue's capacities in bytes of kernel
	// or device memory as obtained; 0 where unknown.
	RecvBuffer, SendBuffer int
	// LinkRate is in bits per second; 0 where unknown.
	LinkRate uint64
	// Notes are sentences for a user on what was asked for and not obtained,
	// and the remedy.
	Notes []string
}

// Stats counts since Open.
type Stats struct {
	RxPackets, RxBytes uint64
	TxPackets, TxBytes uint64
	// RxCalls and TxCalls are the system calls, bursts or doorbells it took.
	RxCalls, TxCalls uint64
	// Drops by cause; each dropped packet is counted in one of these.
	RxTruncated   uint64 // longer than the receive buffer
	RxMalformed   uint64 // not a well-formed packet of this backend's kind
	RxOverflow    uint64 // lost before us: socket buffer or ring full
	TxTooLarge    uint64 // refused for its size by device or path
	TxRefused     uint64 // refused by kernel or device for another reason
	TxUnresolved  uint64 // neighbour not known yet
	FaultsApplied uint64 // by a Fault decorator

	// TxForwarded is of TxPackets those that lay where another transport had received
	// them.
	TxForwarded uint64

	// Sends without a copy, and those asked to be that the kernel copied after all.
	TxZeroCopied, TxCopied uint64
}
