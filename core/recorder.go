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

	notes  []wire.MessageLead // of each record its message, with method and code
	bursts []burst            // at most one for each record
	next   uint64             // record
	begun  uint64             // bursts so far
	newest burst
	of     *mux // of newest; nil: the next record begins another

	// The packet that is being taken as lost.
	lostAt time.Duration
	lostBy uint8

	connections []ConnectionRecord // the newest, oldest first
}

// burst is what records have in common, one after the other. Those of a turn, which is
// what most of a busy loop's come in, began together, too.
type burst struct {
	at, since time.Duration
	mark      time.Duration // Record's, but 0 where a call got its slot at once
	first     uint64        // record
	conn      uint32
	kind      RecordKind // SentAgain, or CallEnded: of what ended the messages tell it
	code      uint8      // of SentAgain
}

// Record is one thing that happened. Times are the endpoint's.
type Record struct {
	At    time.Duration
	Since time.Duration // when the call was submitted, or the request was taken in
	// Mark is of a call when it got a slot, 0 if it got none; of what was sent again
	// when the packet had left that was lost.
	Mark   time.Duration
	Lead   wire.MessageLead // of the message; without a Sequence of a call without a slot
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
// 56 bytes.
func NewRecorder(records int) *Recorder {
	n := 1 << bits.Len(uint(max(records, 64)-1))
	return &Recorder{notes: make([]wire.MessageLead, n), bursts: make([]burst, n)}
}

// turn takes in that time passes.
func (r *Recorder) turn() { r.of = nil }

// Before what has ended is added, the burst has to be one that it is of. Both are
// small enough to be in line.
func (r *Recorder) within(m *mux, since, mark time.Duration) {
	if r.of != m || r.newest.since != since || r.newest.mark != mark {
		r.begin(m, CallEnded, 0, since, mark)
	}
}

func (r *Recorder) add(lead wire.MessageLead) {
	r.notes[r.next&uint64(len(r.notes)-1)] = lead
	r.next++
}

// begin begins a burst, of which there is a record next.
func (r *Recorder) begin(m *mux, kind RecordKind, code uint8, since, mark time.Duration) {
	r.of = m
	r.newest = burst{at: m.e.packets.Now(), since: since, mark: mark, first: r.next, conn: m.conn.Index(), kind: kind, code: code}
	r.bursts[r.begun&uint64(len(r.bursts)-1)] = r.newest
	r.begun++
}

// Records are those that there are, oldest first, in memory of their own.
func (r *Recorder) Records() []Record {
	records := make([]Record, 0, min(r.next, uint64(len(r.notes))))
	oldest := r.next - uint64(cap(records))
	for i := r.begun - min(r.begun, uint64(len(r.bursts))); i < r.begun; i++ {
		b := &r.bursts[i&uint64(len(r.bursts)-1)]
		end := r.next
		if i+1 < r.begun {
			end = r.bursts[(i+1)&uint64(len(r.bursts)-1)].first
		}
		for n := max(oldest, b.first); n < end; n++ {
			records = append(records, b.record(r.notes[n&uint64(len(r.notes)-1)]))
		}
	}
	return records
}

// record is one of the burst.
func (b *burst) record(lead wire.MessageLead) Record {
	r := Record{At: b.at, Since: b.since, Mark: b.mark, Lead: lead, Conn: b.conn, Method: lead.Method(), Kind: b.kind, Code: b.code}
	if r.Kind != CallEnded {
		return r
	}
	r.Code = lead.Code() &^ wire.NotExecuted
	switch {
	case lead.Kind() == wire.Response:
		r.Kind = RequestAnswered
	case lead.Sequence() != 0:
		r.Mark = slotted(b.since, b.mark)
	}
	return r
}

// slotted is when a call that began at since got its slot.
func slotted(since, begun time.Duration) time.Duration {
	if begun == 0 {
		return since
	}
	return begun
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

// callFailed makes the record of a call that has.
func (r *Recorder) callFailed(m *mux, c *Call, lead wire.MessageLead, code Code) {
	r.within(m, c.since, c.begun)
	r.add(lead.WithCode(uint8(code)))
	if r.Failed != nil {
		r.Failed()
	}
}

// recordSlotless notes the end of a call that had no slot.
func (m *mux) recordSlotless(c *Call, code Code) {
	c.begun = 0
	m.e.cfg.Recorder.callFailed(m, c, wire.NewMessageLead(wire.Request, 0, 0, 0, c.Method, 0), code)
}

// recordAgain notes that a message is sent again.
func (m *mux) recordAgain(o *outgoing) {
	r := m.e.cfg.Recorder
	r.begin(m, SentAgain, r.lostBy, 0, r.lostAt)
	r.add(o.lead)
	r.of = nil
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
					pending(CallPending, slot.call.since, slotted(slot.call.since, slot.call.begun), slot.out.lead, slot.call.Method)
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
