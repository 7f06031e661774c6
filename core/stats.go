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
	// CallsQueued is those of them that waited for a slot, or for a connection.
	CallsQueued uint64
	// Requests of this endpoint as a server: handed to a handler, answered by
	// the engine instead (overload, deadline, no such method), and duplicates
	// that were not executed again.
	RequestsHandled, RequestsRefused, RequestsDuplicate uint64
	// SessionsExpelled of this endpoint as a server: ended since they were idle.
	SessionsExpelled uint64

	// Streams that this endpoint opened; streams handed to a handler; and streams
	// that the engine ended instead.
	StreamsOpened, StreamsServed, StreamsRefused uint64

	// Messages and fragments sent in Data datagrams; Retransmits is those of them
	// that were sent again.
	TxMessages, RxMessages, Retransmits uint64
	// Dropped messages of a session, slot or request that has ended. Those that
	// are malformed count as malformed datagrams do.
	RxStale uint64

	// What the connections under them count.
	packet.Stats

	// Present state.
	Sessions, RequestsHeld, Streams int
	// ReassemblyBytes is the memory of requests of more than one packet that are
	// being received or held, and of streams' messages; BytesKept that of copies of others and of replies, and
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
		s.Stats = e.packets.Stats()
		s.RxMalformed += e.stats.RxMalformed // messages
		s.RxLength += e.stats.RxLength
		s.RxType += e.stats.RxType
	}
	s.Sessions = e.sessions
	s.RequestsHeld = e.held
	s.Streams = e.streaming
	s.ReassemblyBytes = e.buffers.lent
	s.BytesKept = e.buffers.kept + e.buffers.copies
	return s
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
