package core

import (
	"time"

	"github.com/peregrine-rpc/peregrine/wire"
)

// maxControls bounds the control messages under way to a peer: as many as it
// can have sessions to close. Of what is over the bound, a ping or a cancel is
// not sent, since either only hastens what happens anyway.
const maxControls = 1 << 16

// control returns a new control message, or nil if there are too many.
func (p *peer) control(kind wire.Kind) *outgoing {
	e := p.ep
	if p.controls >= maxControls {
		return nil
	}
	p.controls++
	e.controlling++
	m := e.controls.get()
	e.begin(m)
	m.message = wire.MessageHeader{Kind: kind}
	m.owner = p
	return m
}

// recycleControl takes a message that is under way no more, if it is a control
// message; requests and responses belong to their slots.
func (e *Endpoint) recycleControl(m *outgoing) {
	if m.owner == nil {
		return
	}
	m.void()
	m.owner.controls--
	m.data, m.owner = nil, nil
	e.controlling--
	e.controls.put(m)
	if len(e.controls.free) > few {
		e.tidySoon()
	}
}

// begin makes m new: packets that held it mean nothing now.
func (e *Endpoint) begin(m *outgoing) {
	e.restamp(m)
	m.deadline, m.started, m.acked = 0, false, false
	m.padding, m.stride, m.payloadEnd = 0, 0, 0
}

func (e *Endpoint) restamp(m *outgoing) {
	if e.lastID++; e.lastID == 0 {
		e.lastID = 1
	}
	m.id = e.lastID
}

// messageArrived notes that the peer has a message, or a fragment of it.
func (e *Endpoint) messageArrived(m *outgoing, fragment uint32) {
	if m.stride != 0 {
		word, bit := &m.arrived[fragment/64], uint64(1)<<(fragment%64)
		if *word&bit != 0 {
			return
		}
		*word |= bit
		if m.unacked--; m.unacked > 0 {
			return
		}
	}
	m.acked = true
	if m.message.Kind == wire.Request {
		return // its slot keeps it for the response
	}
	if m.response != nil {
		e.responseArrived(m.response)
	} else {
		e.recycleControl(m)
	}
}

// retransmit queues a lost message, or a lost fragment of it, again.
func (p *peer) retransmit(m *outgoing, fragment uint32) {
	switch {
	case m.acked:
		return
	case m.message.Kind == wire.Ping:
		p.ep.recycleControl(m)
		return
	case m.stride != 0:
		m.lost = append(m.lost, fragment)
		if m.queue == nil {
			p.bulk.push(m)
		}
	case m.queue == nil:
		p.urgent.push(m)
	}
	p.ep.stats.Retransmits++
	p.touch()
}

// ping sends a message whose arrival is all that matters, in a datagram padded
// to size bytes unless that is 0.
func (p *peer) ping(size int) {
	if m := p.control(wire.Ping); m != nil {
		m.padding = int32(size)
		p.ackNow = true
		p.enqueue(m)
	}
}

// parked is a completion that waits for the transport to let go of memory.
type parked struct {
	end     uint64
	call    *Call
	request *Request
}

// complete calls c.Done once the transport no longer reads c.Request, that is
// once it has completed end packets; 0 means it never did.
func (e *Endpoint) complete(c *Call, end uint64) {
	if c.deadline.place != 0 {
		e.timers.stop(&c.deadline)
	}
	if end > 0 && e.tr.Completed() < end {
		if c.Buf == nil && c.Response != nil {
			c.Response = append([]byte(nil), c.Response...) // perhaps a view
		}
		e.parked = append(e.parked, parked{end: end, call: c})
		return
	}
	if c.Err == nil {
		e.stats.CallsSucceeded++
	} else {
		e.stats.CallsFailed++
	}
	c.session = nil
	if e.cfg.Poison && c.view {
		e.donePoisoned(c)
		return
	}
	c.Done(c)
}

func (e *Endpoint) fail(c *Call, err *Error, end uint64) {
	c.Response, c.Err = nil, err
	e.complete(c, end)
}

// failLater fails c before the present Poll ends, once all that fails with it is
// in order: a completion may do anything.
func (e *Endpoint) failLater(c *Call, err *Error, end uint64) {
	c.Response, c.Err = nil, err
	e.failed = append(e.failed, parked{end: end, call: c})
}

// completeLater fails c in the next Poll, so that Submit never calls Done.
func (e *Endpoint) completeLater(c *Call, err *Error) { e.failLater(c, err, 0) }

// later has f called before the present Poll ends, or in the next one: all is in
// order by then, whatever f does, and whether or not it returns.
func (e *Endpoint) later(f func()) { e.notices = append(e.notices, f) }

// tell calls the first that are to be called later.
func (e *Endpoint) tell(count int) {
	for ; count > 0 && len(e.notices) > 0; count-- {
		f := e.notices[0]
		if e.notices = e.notices[1:]; len(e.notices) == 0 {
			e.notices = nil
		}
		f()
	}
}

// settle tells what is to be told, and completes what waited for the next Poll or for the transport. It may be
// called again after a completion that did not return.
func (e *Endpoint) settle() {
	e.tell(len(e.notices))
	e.settleFailed(len(e.failed))
	if len(e.parked) == 0 {
		return
	}
	done := e.tr.Completed()
	for range len(e.parked) {
		w := e.parked[0]
		e.parked = e.parked[1:]
		switch {
		case w.end > done:
			e.parked = append(e.parked, w)
		case w.call != nil:
			e.complete(w.call, 0)
		default:
			w.request.free()
		}
	}
}

// settleFailed completes the first calls that have failed.
func (e *Endpoint) settleFailed(count int) {
	for ; count > 0 && len(e.failed) > 0; count-- {
		w := e.failed[0]
		if e.failed = e.failed[1:]; len(e.failed) == 0 {
			e.failed = nil
		}
		e.complete(w.call, w.end)
	}
}

// Ping calls done with the time of the next round trip that is measured, of a
// packet sent for the purpose or another, or with the error that ended the
// connection.
func (s *Session) Ping(done func(time.Duration, error)) {
	if s.over() {
		done(0, s.closedError())
		return
	}
	p := s.peer
	p.pings = append(p.pings, done)
	switch {
	case p.state == peerConnected:
		p.ping(0)
	case p.failure != nil:
		p.wanted = true
		p.failPings(p.failure)
	default:
		p.connect() // the probes of the MTU will answer
	}
}

func (p *peer) failPings(err error) {
	pings := p.pings
	p.pings = nil
	for _, done := range pings {
		p.ep.later(func() { done(0, err) })
	}
}

func (p *peer) pinged(rtt time.Duration) {
	if p.pings == nil {
		return
	}
	pings := p.pings
	p.pings = nil
	for _, done := range pings {
		p.ep.later(func() { done(rtt, nil) })
	}
}
