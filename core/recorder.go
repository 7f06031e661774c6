package core

import (
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Recorder keeps what happened last to the calls, requests and connections of an
// endpoint, in memory of fixed size. It belongs to the endpoint whose Config has it,
// and is used by the same goroutine.
//
// One record is made of a call when it ends, and one of a request when it is
// answered; they say when that began, so that steps in between need none. What is
// rare has records of its own.
type Recorder struct {
	// Failed, if set, is called when a call has failed and its record is made. It must
	// not call the endpoint.
	Failed func()

	ring []Record
	next uint64
	// The packet that is being taken as lost.
	lostAt time.Duration
	lostBy uint8

	connections []ConnectionRecord // the newest, oldest first
}

// Record is one thing that happened. Times are the endpoint's.
type Record struct {
	At    time.Duration
	Since time.Duration // when the call was submitted, or the request was taken in
	// Mark is of a call when it got a slot, 0 if it got none; of what was sent again
	// when the packet had left that was lost.
	Mark   time.Duration
	Lead   wire.MessageLead // of the message; zero of a call without a slot
	Conn   uint32           // index of the connection
	Method uint16
	Kind   RecordKind
	Code   uint8 // Code of what ended; of what was sent again one of the Lost
}

// RecordKind says what happened.
type RecordKind uint8

// Record kinds.
const (
	CallEnded       RecordKind = iota + 1
	RequestAnswered            // by its handler or the engine; it may be sent still
	SentAgain                  // a request, a response, or a fragment of one
	CallPending                // not over yet: such records are made by Pending
	RequestPending
)

// How a packet was found to be lost.
const (
	LostOvertaken uint8 = iota // later ones were acknowledged
	LostProbed                 // silence: it was sent again to find out
)

// ConnectionRecord is what happened to a connection.
type ConnectionRecord struct {
	At     time.Duration
	Conn   uint32
	Peer   netip.AddrPort
	Side   Side
	Up     bool
	Reason string // why it is down
}

// maxConnectionRecords bounds those that are kept.
const maxConnectionRecords = 1024

// NewRecorder makes one for so many records, rounded up to a power of two; one takes
// 64 bytes.
func NewRecorder(records int) *Recorder {
	return &Recorder{ring: make([]Record, 1<<bits.Len(uint(max(records, 64)-1)))}
}

// add returns the record to fill in.
func (r *Recorder) add() *Record {
	record := &r.ring[r.next&uint64(len(r.ring)-1)]
	r.next++
	return record
}

// Records are those that there are, oldest first, in memory of their own.
func (r *Recorder) Records() []Record {
	n := min(r.next, uint64(len(r.ring)))
	records := make([]Record, 0, n)
	for i := r.next - n; i < r.next; i++ {
		records = append(records, r.ring[i&uint64(len(r.ring)-1)])
	}
	return records
}

// Total is how many records were made, with those that are gone.
func (r *Recorder) Total() uint64 { return r.next }

// Connections are what happened last to connections, oldest first, in memory of
// their own.
func (r *Recorder) Connections() []ConnectionRecord { return slices.Clone(r.connections) }

// lost notes which packet it is whose messages are sent again next.
func (r *Recorder) lost(sent time.Duration, probed bool) {
	r.lostAt, r.lostBy = sent, LostOvertaken
	if probed {
		r.lostBy = LostProbed
	}
}

// connection notes that m's is up, or down.
func (m *mux) connection(up bool, reason string) {
	r := m.e.cfg.Recorder
	if r == nil {
		return
	}
	if len(r.connections) == maxConnectionRecords {
		r.connections = append(r.connections[:0], r.connections[maxConnectionRecords/2:]...)
	}
	c := ConnectionRecord{At: m.e.packets.Now(), Conn: m.conn.Index(), Peer: m.conn.Addr(), Side: Server, Up: up, Reason: reason}
	if m.conn.Dialed() {
		c.Side = Client
	}
	r.connections = append(r.connections, c)
}

// recordCall notes the end of a call that leaves its slot, or of one without.
func (s *Session) recordCall(c *Call, lead wire.MessageLead) {
	code := uint8(OK)
	if c.Err != nil {
		code = uint8(CodeOf(c.Err))
	}
	m := s.mux
	recorder := m.e.cfg.Recorder
	r := recorder.add() // whose fields are set one by one: a literal would be copied
	r.At, r.Since, r.Mark, r.Lead = m.e.packets.Now(), c.since, c.begun, lead
	r.Conn, r.Method, r.Kind, r.Code = m.conn.Index(), c.Method, CallEnded, code
	if code != uint8(OK) && recorder.Failed != nil {
		recorder.Failed()
	}
}

// recordAnswer notes that a request is answered.
func (r *Request) recordAnswer(code Code) {
	e := r.endpoint
	record := e.cfg.Recorder.add()
	record.At, record.Since, record.Mark, record.Lead = e.packets.Now(), r.since, 0, r.out.lead
	record.Conn, record.Method, record.Kind, record.Code = r.mux.conn.Index(), r.Method, RequestAnswered, uint8(code)
}

// recordAgain notes that a message is sent again.
func (m *mux) recordAgain(o *outgoing) {
	r := m.e.cfg.Recorder
	*r.add() = Record{
		At: m.e.packets.Now(), Mark: r.lostAt, Lead: o.lead, Conn: m.conn.Index(), Method: o.lead.Method(),
		Kind: SentAgain, Code: r.lostBy,
	}
}

// Pending are records of the calls and requests that are not over.
func (e *Endpoint) Pending() (records []Record) {
	for c := range e.packets.Conns() {
		m, ok := c.Layer().(*mux)
		if !ok {
			continue
		}
		pending := func(kind RecordKind, since, mark time.Duration, lead wire.MessageLead, method uint16) {
			records = append(records, Record{
				At: e.packets.Now(), Since: since, Mark: mark, Lead: lead, Conn: c.Index(), Method: method, Kind: kind,
			})
		}
		m.eachSession(func(s *Session) {
			for i := range s.slots {
				if slot := s.activeSlot(i); slot != nil {
					pending(CallPending, slot.call.since, slot.call.begun, slot.out.lead, slot.call.Method)
				}
			}
			for call := s.waiting.head; call != nil; call = call.next {
				pending(CallPending, call.since, 0, wire.MessageLead{}, call.Method)
			}
		})
		if c.State() != packet.Connected {
			continue
		}
		for i := range m.served {
			if s := m.served[i].session; s != nil {
				for _, slot := range s.slots {
					if slot.request == 0 {
						continue
					}
					if r := e.requests.at(slot.request); r.state == requestRunning || r.state == requestDeferred {
						pending(RequestPending, r.since, 0, r.out.lead, r.Method)
					}
				}
			}
		}
	}
	return records
}
