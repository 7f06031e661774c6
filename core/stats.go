package core

import (
	"reflect"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Stats counts since the endpoint was made.
type Stats struct {
	// Calls of this endpoint as a client: started, and how they ended.
	CallsStarted, CallsSucceeded, CallsFailed uint64
	// Requests of this endpoint as a server: handed to a handler, answered by
	// the engine instead (overload, deadline, no such method), and duplicates
	// that were not executed again.
	RequestsHandled, RequestsRefused, RequestsDuplicate uint64

	// Datagrams of type Data and all others.
	TxData, TxControl, RxData, RxControl uint64
	// Messages and fragments sent in Data datagrams.
	TxMessages, RxMessages uint64
	// Retransmits counts messages and fragments sent again; SpuriousRetransmits
	// packets that were declared lost and arrived after all.
	LostPackets, Retransmits, SpuriousRetransmits, ProbeTimeouts uint64

	// Dropped datagrams and messages, by cause.
	RxMalformed   uint64 // wrong magic, length, type or contents
	RxVersion     uint64 // another protocol version
	RxChecksum    uint64 // damaged
	RxUnknown     uint64 // no such connection, or a wrong token or sender
	RxMisrouted   uint64 // of another queue's endpoint, and handed on
	RxDuplicate   uint64 // packet number seen before, or too old
	RxStale       uint64 // message of a session, slot or request that has ended
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

	// Present state.
	Peers, Sessions, RequestsHeld int
	// ReassemblyBytes is the memory of requests of more than one packet that are
	// being received or held; BytesKept that of copies of others and of replies, and
	// what is kept for those to come. None of more than one packet is begun that
	// would bring the sum over ReassemblyMemory.
	ReassemblyBytes, BytesKept int64

	// Filled in by the owner of the endpoint's goroutine: handlers that panicked,
	// and uses of a request by who may not use it, or any more.
	HandlersPanicked, RequestsMisused uint64

	// Transport is filled in by who owns both.
	Transport transport.Stats
}

// Stats returns the counters so far, less those of the transport, which any
// goroutine can have from it.
func (e *Endpoint) Stats() Stats {
	s := e.stats
	if e.packets != nil {
		s.ofPackets(e.packets.Stats())
	}
	s.Sessions = e.sessions
	s.RequestsHeld = e.held
	s.ReassemblyBytes = e.buffers.lent
	s.BytesKept = e.buffers.kept + e.buffers.copies
	return s
}

// ofPackets fills in what the packet layer counts.
func (s *Stats) ofPackets(p packet.Stats) {
	s.TxData, s.TxControl, s.RxData, s.RxControl = p.TxData, p.TxControl, p.RxData, p.RxControl
	s.LostPackets, s.SpuriousRetransmits, s.ProbeTimeouts = p.LostPackets, p.SpuriousRetransmits, p.ProbeTimeouts
	s.RxMalformed += p.RxMalformed // and messages
	s.RxVersion, s.RxChecksum, s.RxUnknown, s.RxMisrouted = p.RxVersion, p.RxChecksum, p.RxUnknown, p.RxMisrouted
	s.RxDuplicate, s.RxNoRoom, s.RxBadCookie = p.RxDuplicate, p.RxNoRoom, p.RxBadCookie
	s.RxReflected, s.RxUnreachable = p.RxReflected, p.RxUnreachable
	s.ResetsSent, s.ResetsTaken, s.HellosRefused = p.ResetsSent, p.ResetsTaken, p.HellosRefused
	s.PeersFailed, s.PeersMoved, s.MTUReductions = p.PeersFailed, p.PeersMoved, p.MTUReductions
	s.Peers = p.Peers
}

// Add adds the counters of o to s.
func (s *Stats) Add(o *Stats) {
	sum, add := reflect.ValueOf(s).Elem(), reflect.ValueOf(o).Elem()
	addFields(sum, add)
}

func addFields(sum, add reflect.Value) {
	for i := range sum.NumField() {
		switch f := sum.Field(i); f.Kind() {
		case reflect.Struct:
			addFields(f, add.Field(i))
		case reflect.Uint64:
			f.SetUint(f.Uint() + add.Field(i).Uint())
		default:
			f.SetInt(f.Int() + add.Field(i).Int())
		}
	}
}
