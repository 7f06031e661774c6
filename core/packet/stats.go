package packet

import "github.com/peregrine-rpc/peregrine/wire"

// Stats counts since the endpoint was made.
type Stats struct {
	// Datagrams of type Data and all others.
	TxData, TxControl, RxData, RxControl uint64
	// Packets declared lost; those of them that arrived after all; and silences
	// that were ended by a probe.
	LostPackets, SpuriousRetransmits, ProbeTimeouts uint64
	// Pings that had no answer in time and were sent again.
	PingsRepeated uint64

	// Dropped datagrams, by cause.
	RxMalformed   uint64 // the following four, and what is out of place
	RxMagic       uint64 // no datagram of this protocol
	RxLength      uint64 // shorter, or longer, than what it says
	RxType        uint64 // an unknown type, kind, flag or option
	RxParams      uint64 // limits that nothing can be sent within
	RxVersion     uint64 // another protocol version
	RxChecksum    uint64 // damaged
	RxForged      uint64 // sealed by somebody else, or not where it has to be, or damaged
	RxUnknown     uint64 // no such connection, or a wrong token or sender
	RxMisrouted   uint64 // of another queue's endpoint, and handed on
	RxDuplicate   uint64 // packet number seen before, or too old
	RxNoRoom      uint64 // Data not taken in, from who leaves too many answers unacknowledged
	RxBadCookie   uint64 // Hello with a forged or old cookie
	RxReflected   uint64 // our own, sent back by whom they were for
	RxUnreachable uint64 // word of datagrams that could not be delivered
	ResetsSent    uint64
	ResetsTaken   uint64
	PeersFailed   uint64 // connections given up
	PeersMoved    uint64 // clients that came to have another address
	MTUReductions uint64 // paths that stopped carrying what they carried
	HellosRefused uint64
	// Handshakes of clients that did not prove who they are, or could not agree with us;
	// and Hellos not heard since too many were under way.
	HandshakesFailed, HandshakesDeferred uint64

	// Peers is how many connections there are.
	Peers int
}

// Stats returns the counters so far, less those of the transport, which any
// goroutine can have from it.
func (e *Endpoint) Stats() Stats {
	s := e.stats
	s.Peers = e.connected
	return s
}

// Malformed counts what did not decode.
func (s *Stats) Malformed(err error) {
	s.RxMalformed++
	switch err {
	case wire.ErrMagic:
		s.RxMagic++
	case wire.ErrLength:
		s.RxLength++
	case wire.ErrType:
		s.RxType++
	case wire.ErrParams:
		s.RxParams++
	}
}
