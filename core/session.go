package core

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Session is a client's line to a server: a bounded number of request slots,
// each carrying one request at a time, executed at most once. It outlives
// connections: after a failure the next call connects anew.
//
// Like its Endpoint, a Session is used by one goroutine at a time.
type Session struct {
	peer       *peer
	index      uint16
	generation uint16
	closed     bool
	slots      []sessionSlot // grown as used, up to peer.slots
	free       []uint16      // indexes into slots, last used first
	waiting    callQueue
	ready      []*readiness
	notify     func(ConnState, error)
	why        *Error // no connection can be made; nil: its peer knows
}

// clientEntry is a peer's record of a session index. The generation counts its
// uses, so that messages of a session that ended are told from its successor's.
type clientEntry struct {
	session    *Session
	generation uint16
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
	in    *assembly // of a response of several packets
	out   outgoing
}

// Connect opens a session to the endpoint at addr, sharing the connection with
// other sessions there. It does not wait: calls may be submitted at once.
func (e *Endpoint) Connect(addr netip.AddrPort) (*Session, error) {
	if e.tr == nil {
		return nil, errNotMade
	}
	if e.closed || e.draining {
		return nil, &Error{Code: Unavailable, Message: "endpoint is closed"}
	}
	p, err := e.dial(addr)
	if err != nil {
		return nil, err
	}
	s := new(Session)
	s.attach(p)
	return s, nil
}

// dial returns the connection to addr, which it begins if there is none yet, if
// it has room for one more session.
func (e *Endpoint) dial(addr netip.AddrPort) (*peer, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	p := e.dialed[addr]
	if p == nil {
		route, err := transport.Dial(e.tr, addr)
		if err != nil {
			return nil, fmt.Errorf("connect to %v: %w", addr, err)
		}
		p = e.newPeer(addr, route)
		p.dialed = true
		e.dialed[addr] = p
		e.tidy.mostDialed = max(e.tidy.mostDialed, len(e.dialed))
		p.connect()
	}
	limit := 1 << 16
	if p.state == peerConnected {
		limit = p.maxSession
	}
	if p.open >= limit {
		return nil, &Error{Code: ResourceExhausted, Message: fmt.Sprintf("%v allows %d sessions a client (sessions)", addr, limit)}
	}
	return p, nil
}

// attach makes s a session of p.
func (s *Session) attach(p *peer) {
	s.peer = p
	if n := len(p.freed); n > 0 {
		s.index = p.freed[n-1]
		p.freed = p.freed[:n-1]
	} else {
		s.index = uint16(len(p.clients))
		p.clients = append(p.clients, clientEntry{})
	}
	entry := &p.clients[s.index]
	entry.session = s
	entry.generation++
	s.generation = entry.generation
	p.open++
}

// Peer is the server's address.
func (s *Session) Peer() netip.AddrPort {
	if s.peer == nil {
		return netip.AddrPort{}
	}
	return s.peer.addr
}

// LocalAddr is the address that the server reaches this endpoint by. Of an
// endpoint on a wildcard address it is known once the session is connected.
func (s *Session) LocalAddr() netip.AddrPort {
	if s.peer == nil {
		return netip.AddrPort{}
	}
	at := s.peer.ep.tr.LocalAddr()
	if local := s.peer.local; local.IsValid() {
		return netip.AddrPortFrom(local, at.Port())
	}
	return at
}

// RTT is the smoothed round trip of the connection; 0 before there is one.
func (s *Session) RTT() time.Duration {
	if s.peer == nil {
		return 0
	}
	return s.peer.smoothed
}

// MTU is how many bytes a datagram to the server may have, as probed so far.
func (s *Session) MTU() int {
	if s.peer == nil {
		return 0
	}
	return s.peer.mtu
}

// errNotMade is what the zero Endpoint and Session say.
var errNotMade = &Error{Code: FailedPrecondition, Message: "zero Endpoint or Session: make it by New or Connect"}

// over says that the session is closed, or never was.
func (s *Session) over() bool { return s.closed || s.peer == nil }

func (s *Session) closedError() error {
	if s.peer == nil {
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
}

// Submit starts c. It completes, in a later Poll, by c.Done; after the
// endpoint's Close there is none.
func (s *Session) Submit(c *Call) {
	if c.session != nil {
		panic("peregrine: a Call was started again before its Done; each that is under way needs a Call of its own")
	}
	if s.peer == nil {
		c.Err = errNotMade
		c.Done(c)
		return
	}
	e := s.peer.ep
	e.stats.CallsStarted++
	c.session = s
	c.Response, c.Err = nil, nil
	if c.Timeout > 0 {
		if at := e.now + c.Timeout; at > 0 { // else it is for ever
			c.deadline.owner = c
			e.timers.set(&c.deadline, at)
		}
	}
	switch {
	case s.closed:
		e.completeLater(c, &Error{Code: Canceled, Message: "session is closed"})
	case c.Timeout < 0:
		e.completeLater(c, &Error{Code: DeadlineExceeded, Message: "the deadline had passed before the call was made"})
	case s.peer.state == peerConnected && s.waiting.head == nil && s.hasSlot():
		s.start(c)
	case s.peer.failure != nil && !c.WaitForReady:
		s.peer.wanted = true
		e.completeLater(c, s.reason(s.peer.failure))
	case s.waiting.length >= e.cfg.Queue:
		e.completeLater(c, &Error{Code: ResourceExhausted, Message: "too many calls wait for a slot (queue)"})
	default:
		s.waiting.push(c)
		s.peer.connect()
	}
}

func tooLong(n int, limit int64) *Error {
	return &Error{Code: ResourceExhausted, Message: fmt.Sprintf("message of %d bytes; the receiver takes up to %d (max_message)", n, limit)}
}

// activeSlot returns what is under way in slot i, or nil.
func (s *Session) activeSlot(i int) *clientSlot {
	if id := s.slots[i].active; id != 0 {
		return s.peer.ep.slots.at(id)
	}
	return nil
}

func (s *Session) hasSlot() bool { return len(s.free) > 0 || len(s.slots) < s.peer.slots }

// start puts c in a free slot and queues its request.
func (s *Session) start(c *Call) {
	p := s.peer
	e := p.ep
	if int64(len(c.Request)) > p.maxMessage {
		e.completeLater(c, tooLong(len(c.Request), p.maxMessage))
		return
	}
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
	p.outstanding++
	record := &s.slots[index]
	record.active = id
	if record.sequence++; record.sequence == 0 {
		record.sequence = 1
	}

	m := &slot.out
	e.begin(m)
	m.address(wire.Request, s.index, s.generation, index, record.sequence)
	m.message.Method = c.Method
	m.data = c.Request
	if c.deadline.place != 0 && c.deadline.at-e.now <= wire.MaxTimeout {
		m.message.Flags = wire.FlagDeadline
		m.deadline = c.deadline.at
	}
	p.enqueue(m)
}

func (s *Session) startWaiting() {
	for s.waiting.head != nil && s.peer.state == peerConnected && !s.closed && s.hasSlot() {
		s.start(s.waiting.pop())
	}
}

// vacate frees the slot that c is in and returns what must pass before the
// transport no longer reads c.Request.
func (s *Session) vacate(c *Call) (payloadEnd uint64) {
	slot := c.slot
	c.slot = nil
	s.peer.outstanding--
	payloadEnd = slot.out.payloadEnd
	s.slots[slot.index].active = 0
	s.free = append(s.free, slot.index)
	slot.out.void()
	slot.call, slot.out.data = nil, nil
	if slot.in != nil {
		s.peer.ep.recycleAssembly(&slot.in)
	}
	s.peer.ep.slots.put(slot.id)
	return payloadEnd
}

// response takes in a response, or a fragment of one.
func (p *peer) response(m *wire.Message) {
	if s := p.client(m); s != nil && int(m.Slot) < len(s.slots) {
		if record := s.slots[m.Slot]; record.active != 0 && record.sequence == m.Sequence {
			p.respond(s, p.ep.slots.at(record.active), m)
			return
		}
	}
	p.ep.stats.RxStale++
}

// client returns the session that m names, if it still exists.
func (p *peer) client(m *wire.Message) *Session {
	if int(m.Session) >= len(p.clients) {
		return nil
	}
	if s := p.clients[m.Session].session; s != nil && s.generation == m.Generation {
		return s
	}
	return nil
}

func (p *peer) respond(s *Session, slot *clientSlot, m *wire.Message) {
	e := p.ep
	c := slot.call
	body := m.Body
	view := true
	if m.Flags&wire.FlagFragment != 0 {
		if slot.in == nil {
			if int64(m.Total) > e.cfg.MaxMessage {
				s.abandon(c, tooLong(int(m.Total), e.cfg.MaxMessage))
				return
			}
			slot.in = e.assemblies.get()
			slot.in.begin(m, sized(c.Buf, int(m.Total)))
		}
		if !slot.in.add(m) {
			return
		}
		body, view = slot.in.buf, false
	}
	if m.Code != uint8(OK) {
		if slot.out.stride != 0 && !slot.out.acked {
			s.tellCanceled(slot) // refused while it arrived; the rest may have found room
		}
		c.Err = responseError(m.Code, string(body))
	} else if view && c.Buf != nil {
		c.Response = sized(c.Buf, len(body))
		copy(c.Response, body)
	} else {
		c.Response = body
		if e.cfg.Poison && view {
			c.Response, c.view = bytes.Clone(body), true
		}
	}
	end := s.vacate(c)
	if s.waiting.head != nil {
		s.startWaiting()
	}
	e.complete(c, end)
}

// sized returns buf at length n, or new memory if it is too small.
func sized(buf []byte, n int) []byte {
	if cap(buf) >= n {
		return buf[:n]
	}
	return make([]byte, n)
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
	p := s.peer
	slot := c.slot
	if slot == nil {
		if c.waiting {
			s.waiting.remove(c)
			p.ep.fail(c, failure, 0)
		}
		return // about to complete otherwise
	}
	failure.MayHaveExecuted = slot.out.started
	if slot.out.started && p.state == peerConnected {
		s.tellCanceled(slot)
	}
	end := s.vacate(c)
	s.startWaiting()
	p.ep.fail(c, failure, end)
}

// tellCanceled tells the server that nobody waits for the request in slot.
func (s *Session) tellCanceled(slot *clientSlot) {
	if m := s.peer.control(wire.Cancel); m != nil {
		m.message.Session, m.message.Generation = s.index, s.generation
		m.message.Slot, m.message.Sequence = slot.index, s.slots[slot.index].sequence
		s.peer.enqueue(m)
	}
}

// failActive fails the calls that were in slots when the connection ended.
func (s *Session) failActive(why *Error) {
	for i := range s.slots {
		if slot := s.activeSlot(i); slot != nil {
			c := slot.call
			failure := *why
			failure.MayHaveExecuted = slot.out.started
			s.peer.ep.failLater(c, &failure, s.vacate(c))
		}
	}
	// The next connection may grant fewer slots.
	s.slots, s.free = nil, nil
}

// failWaiting fails the calls that never found a connection: all, or those that
// do not wait for ready.
func (s *Session) failWaiting(err *Error, all bool) {
	for c := s.waiting.head; c != nil; {
		next := c.next
		if all || !c.WaitForReady {
			s.waiting.remove(c)
			s.peer.ep.failLater(c, err, 0)
		}
		c = next
	}
}

// Close fails what is under way with Canceled and lets the server forget the
// session. The connection ends with its last session. Closing twice is no error.
func (s *Session) Close() error {
	if s.over() {
		return nil
	}
	s.closed = true
	p := s.peer
	why := &Error{Code: Canceled, Message: "session is closed"}
	others, news := p.ep.failed, p.ep.notices
	p.ep.failed, p.ep.notices = nil, nil
	s.failActive(why)
	s.failWaiting(why, true)
	own := len(p.ep.failed)
	p.ep.failed = append(p.ep.failed, others...)
	s.detach()
	s.notifyReady(why)
	s.changed(Shutdown, nil)
	told := len(p.ep.notices)
	p.ep.notices = append(p.ep.notices, news...)
	p.ep.tell(told)
	p.ep.settleFailed(own)
	return nil
}

// detach ends the session at its peer. The connection ends with its last session.
func (s *Session) detach() {
	p := s.peer
	p.clients[s.index].session = nil
	p.freed = append(p.freed, s.index)
	p.open--
	if p.open == 0 {
		p.close("client is done")
		return
	}
	if p.state == peerConnected {
		if m := p.control(wire.CloseSession); m != nil {
			m.message.Session, m.message.Generation = s.index, s.generation
			p.enqueue(m)
		}
	}
}
