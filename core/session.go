package core

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Session is a client's line to a server: a bounded number of request slots,
// each carrying one request at a time, executed at most once. It outlives
// connections: after a failure the next call connects anew.
//
// Like its Endpoint, a Session is used by one goroutine at a time.
type Session struct {
	mux        *mux
	name       string // of the server that it has to be at, for ConnectAs
	index      uint16
	generation uint16
	closed     bool
	slots      []sessionSlot // grown as used, up to mux.slots
	free       []uint16      // indexes into slots, last used first
	waiting    callQueue
	streams    *streams // nil: it had none so far
	ready      []*readiness
	notify     func(ConnState, error)
	why        *Error // no connection can be made; nil: its connection knows
}

// clientEntry is a connection's record of a session index. The generation counts its
// uses, so that messages of a session that ended are told from its successor's.
type clientEntry struct {
	session    *Session
	generation uint16
	unclosed   bool // the server has to hear still that it is closed
}

// sessionSlot is what remains of a slot between requests.
type sessionSlot struct {
	active   uint32 // of Endpoint.slots
	sequence uint32 // of the last request; 0: none yet
}

// clientSlot is a request under way. Slots in use draw them from a pool of the
// endpoint, so that idle sessions are small and busy ones share warm memory.
type clientSlot struct {
	call  *Call
	id    uint32    // in Endpoint.slots
	index uint16    // in its session
	turns uint16    // of tidy, that the call has waited for
	asked uint32    // id of the request that it waits with
	in    *assembly // of a response of several packets
	out   outgoing
}

// Connect opens a session to the endpoint at addr, sharing the connection with
// other sessions there. It does not wait: calls may be submitted at once.
func (e *Endpoint) Connect(addr netip.AddrPort) (*Session, error) { return e.ConnectAs(addr, "") }

// dial returns the connection to addr, of a server of this name, which it begins if there
// is none yet, if it has room for one more session.
func (e *Endpoint) dial(addr netip.AddrPort, name string) (*mux, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	m, err := e.muxTo(addr, name)
	if err != nil {
		return nil, err
	}
	if err := m.isNot(name); err != nil {
		return nil, err
	}
	limit := 1 << 16
	if m.conn.State() == packet.Connected {
		limit = m.maxSession
	}
	if m.open >= limit {
		return nil, &Error{Code: ResourceExhausted, Message: fmt.Sprintf("%v allows %d sessions a client (sessions)", addr, limit)}
	}
	return m, nil
}

func (e *Endpoint) muxTo(addr netip.AddrPort, name string) (*mux, error) {
	if c := e.packets.To(addr); c != nil {
		return c.Layer().(*mux), nil
	}
	m := e.newMux(name)
	c, err := e.packets.Dial(addr, m)
	if err != nil {
		return nil, err
	}
	c.Expect(name)
	m.conn = c
	m.connect()
	return m, nil
}

// attach makes s a session of m.
func (s *Session) attach(m *mux) {
	s.mux = m
	if n := len(m.freed); n > 0 {
		s.index = m.freed[n-1]
		m.freed = m.freed[:n-1]
	} else {
		s.index = uint16(len(m.clients))
		m.clients = append(m.clients, clientEntry{})
	}
	entry := &m.clients[s.index]
	entry.session = s
	entry.generation++
	s.generation = entry.generation
	m.open++
}

// Peer is the server's address.
func (s *Session) Peer() netip.AddrPort {
	if s.mux == nil {
		return netip.AddrPort{}
	}
	return s.mux.conn.Addr()
}

// LocalAddr is the address that the server reaches this endpoint by. Of an
// endpoint on a wildcard address it is known once the session is connected.
func (s *Session) LocalAddr() netip.AddrPort {
	if s.mux == nil {
		return netip.AddrPort{}
	}
	at := s.mux.e.tr.LocalAddr()
	if local := s.mux.conn.Local(); local.IsValid() {
		return netip.AddrPortFrom(local, at.Port())
	}
	return at
}

// Connection names the connection that the session is on, of all that the endpoint
// makes in its life; 0: it is on none.
func (s *Session) Connection() uint64 {
	if s.mux == nil || s.mux.conn.State() != packet.Connected {
		return 0
	}
	return s.mux.up
}

// RTT is the smoothed round trip of the connection; 0 before there is one.
func (s *Session) RTT() time.Duration {
	if s.mux == nil {
		return 0
	}
	return s.mux.conn.RTT()
}

// MTU is how many bytes a datagram to the server may have, as probed so far.
func (s *Session) MTU() int {
	if s.mux == nil {
		return 0
	}
	return s.mux.conn.MTU()
}

// errNotMade is what the zero Endpoint and Session say.
var errNotMade = &Error{Code: FailedPrecondition, Message: "zero Endpoint or Session: make it by New or Connect"}

// over says that the session is closed, or never was.
func (s *Session) over() bool { return s.closed || s.mux == nil }

func (s *Session) closedError() error {
	if s.mux == nil {
		return errNotMade
	}
	if s.closed {
		return &Error{Code: Canceled, Message: "session is closed"}
	}
	return nil
}

func (s *Session) connected() {
	s.why = nil
	s.notifyReady(nil)
	s.startWaiting()
	s.startStreams()
}

// Submit starts c. It completes, in a later Poll, by c.Done; after the
// endpoint's Close there is none.
func (s *Session) Submit(c *Call) {
	if c.session != nil {
		panic("peregrine: a Call was started again before its Done; each that is under way needs a Call of its own")
	}
	if s.mux == nil {
		c.Err = errNotMade
		c.Done(c)
		return
	}
	e := s.mux.e
	e.stats.CallsStarted++
	c.session = s
	c.Response, c.Err, c.Via = nil, nil, 0
	if e.timed {
		c.since, c.begun = e.packets.Now(), 0
	}
	if c.Timeout > 0 {
		if at := e.packets.Now() + c.Timeout; at > 0 { // else it is for ever
			c.deadline = packet.NewTimer((*callDeadline)(c))
			e.packets.Set(&c.deadline, at)
		}
	}
	switch {
	case s.closed:
		e.completeLater(c, &Error{Code: Canceled, Message: "session is closed"})
	case c.Timeout < 0:
		e.completeLater(c, &Error{Code: DeadlineExceeded, Message: "the deadline had passed before the call was made"})
	case s.mux.conn.State() == packet.Connected && s.waiting.head == nil && s.hasSlot():
		s.start(c)
	case s.mux.failure != nil && !c.WaitForReady:
		s.mux.wanted = true
		e.completeLater(c, s.reason(s.mux.failure))
	case s.waiting.length >= e.cfg.Queue:
		e.completeLater(c, &Error{Code: ResourceExhausted, Message: "too many calls wait for a slot (queue)"})
	default:
		e.stats.CallsQueued++
		s.waiting.push(c)
		s.mux.connect()
	}
}

func tooLong(n int, limit int64) *Error {
	return &Error{Code: ResourceExhausted, Message: fmt.Sprintf("message of %d bytes; the receiver takes up to %d (max_message)", n, limit)}
}

// activeSlot returns what is under way in slot i, or nil.
func (s *Session) activeSlot(i int) *clientSlot {
	if id := s.slots[i].active; id != 0 {
		return s.mux.e.slots.at(id)
	}
	return nil
}

func (s *Session) hasSlot() bool { return len(s.free) > 0 || len(s.slots) < s.mux.slots }

// start puts c in a free slot and queues its request.
func (s *Session) start(c *Call) {
	m := s.mux
	e := m.e
	if int64(len(c.Request)) > m.maxMessage {
		e.completeLater(c, tooLong(len(c.Request), m.maxMessage))
		return
	}
	if c.Tied != 0 && c.Tied != m.up {
		e.completeLater(c, ErrOtherConnection)
		return
	}
	c.Via = m.up
	var index uint16
	if n := len(s.free); n > 0 {
		index = s.free[n-1]
		s.free = s.free[:n-1]
	} else {
		index = uint16(len(s.slots))
		s.slots = append(s.slots, sessionSlot{})
	}
	id := e.slots.take()
	if id == 0 {
		var fresh bool
		if id, fresh = e.slots.get(); fresh {
			e.tidySoon()
		}
	}
	slot := e.slots.at(id)
	slot.call, slot.id, slot.index = c, id, index
	c.slot = slot
	m.outstanding++
	record := &s.slots[index]
	record.active = id
	if record.sequence++; record.sequence == 0 {
		record.sequence = 1
	}

	o := &slot.out
	e.begin(o)
	o.lead = wire.NewMessageLead(wire.Request, s.index, s.generation, index, c.Method, record.sequence)
	o.data = c.Request
	if c.deadline.IsSet() && c.deadline.At()-e.packets.Now() <= wire.MaxTimeout {
		o.expire(c.deadline.At())
	}
	if c.Trace != nil && m.traces {
		o.flags |= wire.FlagTrace
		o.trace = c.Trace
	}
	m.enqueue(o)
}

func (s *Session) startWaiting() {
	for s.waiting.head != nil && s.mux.conn.State() == packet.Connected && !s.closed && s.hasSlot() {
		c := s.waiting.pop()
		c.begun = s.mux.e.packets.Now()
		s.start(c)
	}
}

// vacate frees the slot that c is in and returns what must pass before the
// transport no longer reads c.Request.
func (s *Session) vacate(c *Call) (payloadEnd uint64) {
	slot := c.slot
	if r := s.mux.e.cfg.Recorder; r != nil {
		if c.Err == nil {
			r.within(s.mux, c.since, c.begun)
			r.add(slot.out.lead)
		} else {
			r.callFailed(s.mux, c, slot.out.lead, CodeOf(c.Err))
		}
	}
	c.slot = nil
	s.mux.outstanding--
	payloadEnd = slot.out.payloadEnd
	s.slots[slot.index].active = 0
	s.free = append(s.free, slot.index)
	s.mux.void(&slot.out)
	slot.call, slot.out.data, slot.out.trace = nil, nil, nil
	if slot.in != nil {
		s.mux.recycleAssembly(&slot.in)
	}
	s.mux.e.slots.put(slot.id)
	return payloadEnd
}

// Cancel completes c with Canceled, now, if it is under way in s. The server is
// told, and does not begin a request that it has not begun.
func (s *Session) Cancel(c *Call) {
	if c.session == s {
		s.abandon(c, c.unanswered(Canceled, "no response so far"))
	}
}

// abandon completes c with an error and tells the server to forget it.
func (s *Session) abandon(c *Call, failure *Error) {
	m := s.mux
	slot := c.slot
	if slot == nil {
		if c.waiting {
			s.waiting.remove(c)
			m.e.fail(c, failure, 0)
		}
		return // about to complete otherwise
	}
	failure.MayHaveExecuted = slot.out.started
	if slot.out.started && m.conn.State() == packet.Connected {
		s.tellCanceled(slot)
	}
	c.Err = failure
	end := s.vacate(c)
	s.startWaiting()
	m.e.fail(c, failure, end)
}

// tellCanceled tells the server that nobody waits for the request in slot.
func (s *Session) tellCanceled(slot *clientSlot) {
	lead := wire.NewMessageLead(wire.Cancel, s.index, s.generation, slot.index, 0, s.slots[slot.index].sequence)
	if o := s.mux.control(lead, maxControls); o != nil {
		s.mux.enqueue(o)
	}
}

// failActive fails the calls that were in slots when the connection ended.
func (s *Session) failActive(why *Error) {
	for i := range s.slots {
		if slot := s.activeSlot(i); slot != nil {
			c := slot.call
			failure := *why
			failure.MayHaveExecuted = slot.out.started
			c.Err = &failure
			s.mux.e.failLater(c, &failure, s.vacate(c))
		}
	}
	// The next connection may grant fewer slots.
	s.slots, s.free = nil, nil
	s.failStreams(why)
}

// failWaiting fails the calls that never found a connection: all, or those that
// do not wait for ready.
func (s *Session) failWaiting(err *Error, all bool) {
	for c := s.waiting.head; c != nil; {
		next := c.next
		if all || !c.WaitForReady {
			s.waiting.remove(c)
			s.mux.e.failLater(c, err, 0)
		}
		c = next
	}
	s.failWaitingStreams(err, all)
}

// waits says whether anything of s waits for the connection.
func (s *Session) waits() bool {
	return s.waiting.head != nil || len(s.ready) > 0 || s.streams != nil && len(s.streams.waiting) > 0
}

// Close fails what is under way with Canceled and lets the server forget the
// session. The connection ends with its last session. Closing twice is no error.
func (s *Session) Close() error {
	if s.over() {
		return nil
	}
	s.closed = true
	m := s.mux
	why := &Error{Code: Canceled, Message: "session is closed"}
	others, news := m.e.failed, m.e.notices
	m.e.failed, m.e.notices = nil, nil
	s.failActive(why)
	s.failWaiting(why, true)
	own := len(m.e.failed)
	m.e.failed = append(m.e.failed, others...)
	s.detach()
	s.notifyReady(why)
	s.changed(Shutdown, nil)
	told := len(m.e.notices)
	m.e.notices = append(m.e.notices, news...)
	m.e.tell(told)
	m.e.settleFailed(own)
	return nil
}

// detach ends the session on its connection, which ends with its last session.
func (s *Session) detach() {
	m := s.mux
	m.clients[s.index].session = nil
	m.freed = append(m.freed, s.index)
	m.open--
	if m.open == 0 {
		m.close("client is done")
		return
	}
	if m.conn.State() == packet.Connected {
		if entry := &m.clients[s.index]; !entry.unclosed {
			entry.unclosed = true
			m.unclosed = append(m.unclosed, s.index)
		}
		m.tellClosed()
	}
}
