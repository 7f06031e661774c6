package core

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/wire"
)

// Handler answers requests. It runs on the endpoint's goroutine, so it must not
// block: a handler that takes long defers the answer.
type Handler func(*Request)

// Request is one request that a server received. It belongs to the handler
// until the handler returns, or until the reply if it called Defer.
type Request struct {
	// Method is what the client asked for.
	Method uint16
	// Data is the message. A request of one packet is not copied: Data is then
	// a view of receive memory, valid until the handler returns, unless Defer
	// keeps it until the reply. It must not be written to.
	Data []byte
	// Deadline is when the client stops waiting, in the endpoint's time; 0
	// means never.
	Deadline time.Duration
	// Canceled is told, on the endpoint's goroutine, if the request ends
	// before the reply: the client gave up, closed its session or was lost.
	Canceled Canceler
	// Released is called, on the endpoint's goroutine, once the engine no longer
	// reads what Reply was given.
	Released func()
	// Serial tells this request from all others of the endpoint, also from those
	// that use the same Request after it; 0 once it has ended. Whoever keeps a
	// *Request beyond its handler has to compare before each use.
	Serial uint64

	since    time.Duration // when it was taken in, where Endpoint.timed
	mux      *mux          // nil once the request has ended for its client
	session  *servedSession
	id       uint32 // in Endpoint.requests
	slot     uint16
	state    requestState
	refused  bool // answered by the engine
	traced   bool
	endpoint *Endpoint
	in       *arrival // of a request of several packets
	small    []byte   // copy of a short reply
	out      outgoing
	kept     []byte // copy of Data, for Defer
	trace    Trace  // if traced
}

// Canceler is told that a request has ended before its reply. CancelFunc makes one of
// a function.
type Canceler interface{ Cancel() }

// CancelFunc is a function as a Canceler.
type CancelFunc func()

// Cancel implements Canceler.
func (f CancelFunc) Cancel() { f() }

type requestState uint8

const (
	requestArriving requestState = iota
	requestRunning
	requestDeferred
	requestReplied
)

// servedEntry is a server peer's record of a session index.
type servedEntry struct {
	session    *servedSession
	generation uint16 // of the session, or of the last one that ended
	used       bool
	expelled   bool // the server ended it, and the client has to be told
}

// servedSession is the server's half of a session.
type servedSession struct {
	mux     *mux
	slots   []servedSlot  // grown as used
	heard   time.Duration // when something was asked last, or known to be under way
	streams []streamEntry
	serving int // streams that are open or held
}

// servedSlot remembers the newest request of a slot, so that none executes
// twice, and holds it until the client has the response.
type servedSlot struct {
	request  uint32 // of Endpoint.requests; 0: none
	sequence uint32 // 0: none yet
}

// Peer is the client's address; zero once the request has ended for it.
func (r *Request) Peer() netip.AddrPort {
	if r.mux == nil {
		return netip.AddrPort{}
	}
	return r.mux.conn.Addr()
}

// Trace says what the request is part of, if its client does; else it is the zero Trace.
func (r *Request) Trace() Trace {
	if !r.traced {
		return Trace{}
	}
	return r.trace
}

// SetTrace has Trace say something else from now on, if that is a trace.
func (r *Request) SetTrace(trace Trace) {
	if trace.IsValid() {
		r.traced, r.trace = true, trace
	}
}

// Handle sets the handler of a method; nil removes it.
func (e *Endpoint) Handle(method uint16, h Handler) { e.handlers.set(method, h) }

// handler is the one of a method, or nil.
func (e *Endpoint) handler(method uint16) Handler { return e.handlers.of(method) }

// methods are handlers by number. Numbers are dense from 0, and from 65535 down, where
// those of names are: two tables that are as long as they have to be.
type methods struct{ low, high []Handler }

// table is the one that a method is in, and where.
func (m *methods) table(method uint16) (*[]Handler, int) {
	if method < 1<<15 {
		return &m.low, int(method)
	}
	return &m.high, int(^method)
}

func (m *methods) set(method uint16, h Handler) {
	table, i := m.table(method)
	if n := i + 1; n > len(*table) {
		*table = append(*table, make([]Handler, n-len(*table))...)
	}
	(*table)[i] = h
}

func (m *methods) of(method uint16) Handler {
	table, i := m.table(method)
	if i < len(*table) {
		return (*table)[i]
	}
	return nil
}

const noMethod = "no such method"

// serve returns the session that m names, newly made if it is new; nil if it
// has ended or there may be no more.
func (m *mux) serve(lead wire.MessageLead) *servedSession {
	if grow := int(lead.Session()) + 1 - len(m.served); grow > 0 {
		// Clients number their sessions densely; who does not may not make the
		// tables larger than they would be.
		left := m.e.mostEntries() - m.e.entries - grow
		if int(lead.Session()) >= min(m.e.cfg.Sessions, maxSessions) || !fair(int64(lead.Session()), int64(left)) {
			m.refuseSession(lead)
			return nil
		}
		m.e.entries += grow
		m.served = append(m.served, make([]servedEntry, grow)...)
	}
	entry := &m.served[lead.Session()]
	if entry.used {
		if entry.generation == lead.Generation() {
			if entry.expelled && lead.Kind() != wire.CloseSession {
				m.tellExpelled(lead.Session(), lead.Generation())
			}
			return entry.session
		}
		if int16(lead.Generation()-entry.generation) < 0 {
			return nil
		}
		m.endSession(entry, errSessionOver)
	}
	for !fair(int64(m.account.sessions), int64(m.e.cfg.Sessions-m.e.sessions)) {
		if !m.makeRoom() {
			m.refuseSession(lead)
			return nil
		}
	}
	m.opened()
	*entry = servedEntry{session: &servedSession{mux: m, heard: m.e.packets.Now()}, generation: lead.Generation(), used: true}
	return entry.session
}

// mostEntries bounds all clients' tables of sessions together.
func (e *Endpoint) mostEntries() int { return 2*e.cfg.Sessions + spareEntries }

// spareEntries is room for clients of few sessions where there may be few.
const spareEntries = 64

// refuseSession answers a request, or any fragment of one, of a session that
// there is no room for. The next fragment may find room, but not the whole
// message.
func (m *mux) refuseSession(lead wire.MessageLead) {
	switch lead.Kind() {
	case wire.Request:
		m.reject(lead, ResourceExhausted, noSession)
	case wire.StreamHeader, wire.StreamData, wire.StreamEnd:
		m.refuseStream(lead, uint8(ResourceExhausted), string(noSession))
	}
}

var noSession = []byte("server has as many sessions as it is configured for (sessions)")

// reject answers a request for which there is no session to remember it.
func (m *mux) reject(lead wire.MessageLead, code Code, reason []byte) {
	m.e.stats.RequestsRefused++
	// Not wire.NotExecuted: since it is not remembered, the same request sent
	// again may find room.
	m.answer(lead, code, reason)
}

// answer answers a request of which nothing is remembered, or no more than that it was.
func (m *mux) answer(lead wire.MessageLead, code Code, reason []byte) {
	answer := m.newControl(lead.Answer().WithCode(uint8(code)))
	answer.data = reason
	m.enqueue(answer)
	m.weighRefusals()
}

// endSession forgets a session's slots and streams. Its generation stays known.
func (m *mux) endSession(entry *servedEntry, why *Error) {
	s := entry.session
	if s == nil {
		return
	}
	for i := range s.streams {
		if st := s.streams[i].stream; st != nil {
			st.over(why)
		}
	}
	m.e.streamEntries -= len(s.streams)
	m.account.streamEntries -= len(s.streams)
	entry.session = nil
	m.ended()
	for i := range s.slots {
		m.e.release(&s.slots[i])
	}
}

var (
	errSessionOver = &Error{Code: Canceled, Message: "the client has closed its session"}
	errClientGone  = &Error{Code: Unavailable, Message: "the connection to the client has ended"}
)

// slotOf returns the slot that m names, or nil with the reason counted.
func (m *mux) slotOf(lead wire.MessageLead) (*servedSession, *servedSlot) {
	var s *servedSession
	if i := int(lead.Session()); i < len(m.served) && m.served[i].session != nil && m.served[i].generation == lead.Generation() {
		s = m.served[i].session
	} else {
		s = m.serve(lead)
	}
	if s != nil {
		s.heard = m.e.packets.Now()
	}
	if s == nil || int(lead.Slot()) >= m.slots || lead.Sequence() == 0 {
		m.e.stats.RxStale++
		return nil, nil
	}
	for int(lead.Slot()) >= len(s.slots) {
		s.slots = append(s.slots, servedSlot{})
	}
	return s, &s.slots[lead.Slot()]
}

// request takes in a request, or a fragment of one.
func (m *mux) request(lead wire.MessageLead, body []byte, full *wire.Message) {
	e := m.e
	s, slot := m.slotOf(lead)
	if slot == nil {
		return
	}
	if slot.sequence != 0 {
		switch age := int32(lead.Sequence() - slot.sequence); {
		case age < 0:
			e.stats.RxStale++
			return
		case age == 0:
			if slot.request != 0 && full != nil && full.Flags&wire.FlagFragment != 0 {
				if r := e.requests.at(slot.request); r.state == requestArriving {
					r.in.take(full)
					return
				}
			}
			e.stats.RequestsDuplicate++
			if slot.request == 0 {
				m.answer(lead, DataLoss, gone)
			}
			return
		}
	}
	// A client uses a slot again only once the request before has ended for it.
	if slot.request != 0 {
		e.release(slot)
	}
	id := e.requests.take()
	if id == 0 {
		var fresh bool
		if id, fresh = e.requests.get(); fresh {
			e.tidySoon()
		}
	}
	r := e.requests.at(id)
	slot.request, slot.sequence = id, lead.Sequence()
	share := fair(int64(m.account.requests), int64(e.cfg.Requests-(e.held-e.refused)))
	e.held++
	m.requests++
	m.account.requests++
	r.endpoint, r.id, r.mux, r.session, r.slot = e, id, m, s, lead.Slot()
	e.serial++
	r.Serial = e.serial
	r.Method = lead.Method()
	if e.timed {
		r.since = e.packets.Now()
	}
	r.state, r.traced = requestArriving, false
	r.out.lead = lead.Answer()
	fragment := false
	if full != nil {
		fragment = full.Flags&wire.FlagFragment != 0
		if full.Flags&wire.FlagDeadline != 0 {
			r.Deadline = e.packets.Now() + wire.DecodeTimeout(full.Deadline)
		}
		if full.Flags&wire.FlagTrace != 0 && full.Trace.IsValid() {
			r.traced, r.trace = true, full.Trace
		}
	}
	switch {
	case e.draining:
		r.refuse(Unavailable, "server is shutting down")
	case !share:
		r.refuse(ResourceExhausted, "server is overloaded (requests)")
	case !fragment:
		r.Data = body
		if e.cfg.Poison {
			r.runPoisoned()
			return
		}
		r.run()
	case e.handler(r.Method) == nil && !e.mayName(r.Method, full.Total):
		r.refuse(Unimplemented, noMethod)
	case int64(full.Total) > e.cfg.MaxMessage:
		r.refuse(ResourceExhausted, tooLong(int(full.Total), e.cfg.MaxMessage).Message)
	default:
		m.arrive(r, full)
	}
}

// run hands the request to its handler.
func (r *Request) run() {
	e := r.endpoint
	handler := e.handler(r.Method)
	if handler == nil {
		r.tellNumber()
		return
	}
	if r.Deadline != 0 && e.packets.Now() >= r.Deadline {
		r.refuse(DeadlineExceeded, "expired before the handler began")
		return
	}
	e.stats.RequestsHandled++
	r.state = requestRunning
	e.running = r.id
	handler(r)
	e.running = 0
	if r.state == requestRunning {
		r.Fail(Internal, "handler returned without a reply")
	}
}

// Open says whether the request's handler runs, and has neither answered nor
// deferred.
func (r *Request) Open() bool { return r.state == requestRunning }

// Serving returns the request whose handler is on the stack, or was there last
// and did not return; nil if none is.
func (e *Endpoint) Serving() *Request {
	if e.running == 0 {
		return nil
	}
	return e.requests.at(e.running)
}

// Left takes in that the handler of Serving will not return, so that it is none
// any more. The next Receive would find that out itself.
func (e *Endpoint) Left() {
	if r := e.Serving(); r != nil {
		e.running = 0
		if r.state == requestRunning {
			r.Fail(Internal, "handler ended without a reply")
		}
	}
}

// refuse answers in the handler's place.
func (r *Request) refuse(code Code, reason string) {
	r.endpoint.stats.RequestsRefused++
	r.endpoint.refused++
	r.session.mux.uncount()
	r.refused = true
	r.Fail(code, reason)
}

// Defer lets the handler return and the answer come later, by Reply or Fail on
// the endpoint's goroutine. Data stays valid until then.
func (r *Request) Defer() {
	if r.state != requestRunning {
		return
	}
	r.state = requestDeferred
	if r.in == nil {
		r.kept = r.endpoint.copyOf(r.Data, r.kept)
		r.Data = r.kept
	}
}

// Reply answers the request. A reply that fits one packet, or is part of Data,
// is copied; a longer one must not change until Released is called. Answering twice, or after the
// request has ended, does nothing.
func (r *Request) Reply(data []byte) { r.answer(OK, data) }

// Fail answers the request with an error. A code that is none, such as OK or 17,
// arrives as Unknown, with a message that names it.
func (r *Request) Fail(code Code, message string) {
	if valid := failing(uint8(code)); valid != code {
		message = fmt.Sprintf("%s (the handler failed with %v, which is no code to fail with)", message, code)
		code = valid
	}
	r.answer(code, []byte(wire.Sendable(message, math.MaxInt)))
}

func (r *Request) answer(code Code, data []byte) {
	if r.state == requestReplied {
		return
	}
	p := r.mux
	view := r.state == requestRunning && r.in == nil // Data is receive memory
	refused := r.state == requestArriving
	r.state = requestReplied
	if p == nil { // ended while deferred
		r.free()
		return
	}
	if int64(len(data)) > p.maxMessage {
		code, data = ResourceExhausted, []byte(tooLong(len(data), p.maxMessage).Message)
	}
	e := r.endpoint
	if e.cfg.Ended != nil {
		if o := outcomeOf(Server, r.Method, code); !e.tally.counted(o, r.since) {
			e.endedOtherwise(o, r.since)
		}
	}
	m := &r.out
	e.begin(m)
	if code != OK {
		m.lead = m.lead.WithCode(uint8(code))
	}
	if refused {
		m.lead = m.lead.WithCode(wire.NotExecuted)
	}
	if recorder := e.cfg.Recorder; recorder != nil {
		recorder.within(p, r.since, 0)
		recorder.add(m.lead.WithMethod(r.Method))
	}
	m.response = r
	if len(data) <= p.singleLimit() || view && len(data) <= len(r.Data) {
		r.small = e.copyOf(data, r.small)
		data = r.small
		if e.cfg.Poison {
			r.poison()
		}
	}
	m.data = data
	p.enqueue(m)
}

// end detaches the request from its client: answered and received, or given up.
func (r *Request) end() {
	r.mux.void(&r.out)
	r.mux = nil
	switch r.state {
	case requestRunning:
		// Its handler is on the stack; answer or run finishes.
	case requestDeferred:
		if r.Canceled != nil {
			r.Canceled.Cancel()
		}
	default:
		r.free()
	}
}

// free recycles the request once the transport no longer reads its response.
func (r *Request) free() {
	e := r.endpoint
	if r.out.payloadEnd > 0 && e.tr.Completed() < r.out.payloadEnd {
		e.parked = append(e.parked, parked{end: r.out.payloadEnd, request: r})
		return
	}
	e.held--
	if r.refused {
		r.refused = false
		e.refused--
	} else {
		r.session.mux.uncount()
	}
	if r.Released != nil {
		r.Released()
	}
	if e.cfg.Poison {
		r.poison()
	}
	if r.in != nil {
		r.in.release()
	}
	r.state = requestReplied // whoever still has it can do no harm
	r.Serial, r.Deadline = 0, 0
	if r.Canceled != nil || r.Released != nil {
		r.Canceled, r.Released = nil, nil
	}
	if len(r.out.data) > copyLimit {
		r.out.data, r.out.payloadEnd = nil, 0 // perhaps the handler's memory
	}
	r.session, r.out.response = nil, nil
	e.requests.put(r.id)
}

// release ends the request that a slot holds, if any.
func (e *Endpoint) release(slot *servedSlot) {
	if id := slot.request; id != 0 {
		slot.request = 0
		e.requests.at(id).end()
	}
}

// received takes in that the client has the whole response: what release does, of a
// request that was answered.
func (r *Request) received() {
	r.session.slots[r.slot].request = 0
	r.mux.void(&r.out)
	r.mux = nil
	r.free()
}

// cancel takes in that a client no longer waits for a request.
func (m *mux) cancel(lead wire.MessageLead) {
	_, slot := m.slotOf(lead)
	if slot == nil || slot.sequence != 0 && int32(lead.Sequence()-slot.sequence) < 0 {
		return
	}
	// Also if the request has not arrived: then it must not execute any more.
	slot.sequence = lead.Sequence()
	m.e.release(slot)
}

// closeSession takes in that a client is done with a session.
func (m *mux) closeSession(lead wire.MessageLead) {
	if m.serve(lead) != nil {
		m.endSession(&m.served[lead.Session()], errSessionOver)
	}
}

// dropServed ends all sessions of a client that is gone.
func (m *mux) dropServed() {
	for i := range m.served {
		m.endSession(&m.served[i], errClientGone)
	}
	m.e.entries -= len(m.served)
	m.served = nil
}
