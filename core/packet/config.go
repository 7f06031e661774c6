package packet

import (
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Config holds an endpoint's limits. All fields of numbers must be set, and
// Controller.
type Config struct {
	// Peers is how many clients are kept connected. More are refused.
	Peers int
	// Credits is how many unacknowledged packets a peer may send here, 4 to
	// MaxCredits.
	Credits int
	// MaxDatagram bounds the datagrams sent and received, in bytes, from
	// wire.MinHello on. Within it the path's MTU is probed.
	MaxDatagram int
	// AckDelay is how long an acknowledgement may wait for something to ride on, up
	// to 65 ms.
	AckDelay time.Duration
	// KeepAlive is the silence after which a peer is given up. Who dialed breaks
	// silence four times as often.
	KeepAlive time.Duration
	// ConnectTimeout is how long a handshake may take.
	ConnectTimeout time.Duration
	// Checksum asks for a CRC-32C on every datagram, also over transports that
	// vouch for integrity.
	Checksum bool
	// ClientOnly refuses whoever wants to connect.
	ClientOnly bool
	// Security, if set, has all connections sealed: who does not, or otherwise, is
	// refused. nil: none is.
	Security Security
	// Handshakes is how many clients may be in the midst of one that Security makes, if
	// there is any. More are heard once there is room.
	Handshakes int
	// Controller makes the congestion controllers.
	Controller Controllers
	// Events, if set, is told of connections made and lost. It must not call the
	// endpoint.
	Events func(Event)
	// Lost, if set, is told of each packet that is taken as lost, before the layer is:
	// when it was sent, and whether it is sent again in silence, to probe.
	Lost func(sent time.Duration, probed bool)
	// Misrouted, if set, is given packets that arrived here but belong to the
	// endpoint of another queue of the same address, to Inject there; -1 asks to
	// try all others. rx is valid during the call.
	Misrouted func(queue int, rx *transport.RxPacket)
	// Misreported, if set, is likewise given word of datagrams that could not be
	// delivered and that this endpoint did not send, to InjectUnreachable into
	// all others. u is valid during the call.
	Misreported func(u *transport.Unreachable)
	// Seed decides tokens and cookies. It must be secret and fresh, save in
	// simulations, and the same for the queues of one address, which take each
	// other's cookies and draw tokens of their own.
	Seed [32]byte
}

// Controllers makes a congestion controller for each path: one of package cc's.
type Controllers = cc.Factory

// UsualControl makes controllers of the kind that is used unless told otherwise.
func UsualControl() Controllers { return cc.Default() }

// Event is something that happened to a connection.
type Event struct {
	Kind EventKind
	Peer netip.AddrPort
	// Reason says why a connection was lost, or where a client was before.
	Reason string
}

// EventKind says what happened.
type EventKind uint8

// Event kinds.
const (
	PeerConnected EventKind = iota + 1
	PeerLost                // without a word: silence, or a reset
	PeerClosed              // in order
	PeerMoved               // a client has another address
)

// MaxCredits is the most packets that a peer may have unacknowledged.
const MaxCredits = 1 << 14

// MaxQueues is how many queues of one address have connections of their own.
const MaxQueues = 1 << (32 - queueShift)
