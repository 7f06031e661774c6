package packet

import (
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Layer is what one connection carries: the message layer's half of it. The
// connection calls all its methods, on the endpoint's goroutine, and each may call
// the connection's; only Fill may not.
//
// The two meet in these words: fill these datagrams, this arrived, this was lost,
// this is what came in; the connection is up, down, gone.
//
// An *entry* is the layer's own note of a thing that a datagram holds. The layer
// numbers its entries from 0, modulo 2^32, since the connection was made (Up) and
// in the order in which Fill makes them. The connection knows of their numbers
// only. It has at most MaxEntries under way: the layer may forget all those before
// its Settled.
type Layer interface {
	// Next is what the layer would have Fill send first.
	Next() Next
	// Fill puts what is next in datagrams of a run, from its first on, and returns how
	// many it filled, and what Next is then. It may end before a run does; none filled
	// means that Next has changed. A Padded ping fills a run of one, and ends others.
	Fill(r *Run) (filled int, next Next)
	// Arrived says that the remote has what count entries from first on stand for. They
	// may be of several datagrams.
	Arrived(first uint32, count int)
	// Lost says that these entries travelled in vain, or for too long. What of it is
	// still wanted is to be sent again; it may turn out to have arrived all the same.
	Lost(first uint32, count int)
	// Ping has the layer send a wire.Ping, in its turn: a message that the other side
	// ignores. If size is not 0 it is to have a datagram for itself and fill size
	// bytes of it, whatever Room says, and to go with the next datagram if every path
	// carries so many. It is not sent again when it is lost.
	Ping(size int)

	// Take takes in what a datagram holds. b is receive memory, valid until Take
	// returns. The connection may be down or gone by then.
	Take(b []byte)

	// Expects is where the layer would have the end of the n bytes of the next datagram,
	// since it looks for more of a message there: n bytes of memory, of which the first
	// head, MaxApart at most, are others' and stay as they are. nil: it does not care.
	Expects(n int) (memory []byte, head int)
	// TakeApart is Take of what lies in two places, of which body is the end of the memory
	// that Expects returned just before. False: that is not what was expected, and nothing
	// was done; Take follows.
	TakeApart(head, body []byte) bool

	// Offer adds to what the handshake tells the remote of this side what concerns
	// messages. At the side that was dialed Up came before, but of a sealed connection,
	// whose sides know nothing of each other by then.
	Offer(own *wire.Params)
	// Up says that there is a connection, with a remote that said so of itself. Pings
	// may have been asked for already. remote is valid during the call.
	Up(remote *wire.Params)
	// Measured tells of a round trip, after Ping of the connection.
	Measured(trip time.Duration)
	// Quiet says that nothing has been under way for a while: memory that is for
	// entries only may be given back.
	Quiet()
	// Down says that the connection is lost, with all that was under way, and nothing
	// of it is known to the remote any more. Whoever dialed may connect again.
	Down(why *Failure)
	// Failed says that an attempt to connect failed, and answered that the remote or
	// its host has said no. A pause follows.
	Failed(why *Failure, answered bool)
	// Rested says that the pause after a failed attempt is over: nothing happens until
	// the layer connects again.
	Rested()
	// Gone says that the connection is forgotten, and calls nothing any more.
	Gone()
}

// MaxApart is how many bytes of a datagram may be apart from the rest.
const MaxApart = 64

// Next is what a layer would send next: the length in bytes of a message that
// leaves room in its datagram, so that acknowledgements ride along, or one of the
// following.
type Next int

const (
	Nothing Next = 0
	// Bulk fills its datagrams: acknowledgements travel for themselves.
	Bulk Next = -1
	// Padded is a Ping with a size: it travels alone.
	Padded Next = -2
)

// Run is datagrams that leave one after the other, for a layer to fill.
type Run struct {
	// Packets are the datagrams. Head is what there is for its own bytes, of which the
	// layer leaves the first Skip alone, uses none from Limit on, and cuts off what it
	// does not need. What is to follow them is Payload: memory that is lent until the
	// transport has completed the datagram, of which the first is number Placed.
	Packets     []transport.TxPacket
	Skip, Limit int
	// Entries is how many entries the layer made of each that it filled, one or more.
	Entries [burstSize]uint16
}

// Failure is why a connection ended, or was not made.
type Failure struct {
	Code   uint8 // of docs/wire.md, section 3.4
	Reason string
	Cause  error // of the host, where it has said why; else nil
}

// The codes that connections are refused and end with.
const (
	codeResourceExhausted  = 8
	codeFailedPrecondition = 9
	codeUnavailable        = 14
	codeUnauthenticated    = 16
)
