package core

import (
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Call is one request and its completion. The caller owns it and may use it
// again once Done has been called; that makes a call without an allocation.
type Call struct {
	// Method says which handler of the server runs.
	Method uint16
	// Request is the message to send. It must not change until Done.
	Request []byte
	// Buf is where the response goes if it fits its capacity. If Buf is nil, a
	// response of one packet is not copied: Response is then a view of receive
	// memory, valid only during Done; in tests, unless benchmarks were asked for,
	// and under the race detector it is overwritten with 0xDB thereafter
	// (Config.Poison).
	Buf []byte
	// Timeout is how long to wait for the response, from Submit on; 0 means
	// for ever, and less that the call fails at once with DeadlineExceeded. It
	// travels with the request if it is below wire.MaxTimeout, 24 days, and the
	// server does not begin work that has expired.
	Timeout time.Duration
	// WaitForReady has the call wait, as long as its Timeout, where no connection
	// can be made. Without it, it fails with Unavailable as soon as an attempt to
	// connect has failed, and at once until another one succeeds.
	WaitForReady bool
	// Tied, if it is not 0, has the call be made on that connection alone, as Via of
	// a former call names it; else it fails with Unavailable, not sent. So what was
	// learnt of a server, such as a method's number, is not said to its successor.
	Tied uint64
	// Trace, if it is not nil, tells the server what the call is part of, if the server
	// reads that. It must be valid, and not change until Done.
	Trace *Trace
	// Done is called once, on the endpoint's goroutine, when Response or Err is
	// set. It may submit this or other calls.
	Done func(*Call)

	// Response is what the handler replied.
	Response []byte
	// Err is nil or an *Error.
	Err error
	// Via names the connection that the call was made on; 0: it was not.
	Via uint64

	// User is the caller's own.
	User any

	session    *Session      // while under way
	slot       *clientSlot   // while in a slot
	waiting    bool          // for a slot, in its session's queue
	since      time.Duration // when it was submitted, where Endpoint.timed
	begun      time.Duration // when it got a slot, if it had to wait for one, likewise
	view       bool          // Response is to be poisoned after Done
	next, prev *Call         // in that queue
	deadline   packet.Timer
}

// Trace is where a call belongs in a distributed trace, as W3C Trace Context has it: what
// the traceparent of HTTP says. The zero Trace is none.
type Trace = wire.Trace

// ErrOtherConnection is how a call or stream fails that was tied to a connection
// which is not the session's any more. It was not sent.
var ErrOtherConnection = &Error{Code: Unavailable, Message: "the connection that this was meant for is no more"}

// callDeadline is a call as its timer knows it.
type callDeadline Call

// Expired is the call's deadline.
func (d *callDeadline) Expired() {
	c := (*Call)(d)
	c.session.abandon(c, c.unanswered(DeadlineExceeded, "no response in time"))
}

// unanswered is the failure of a call that is not waited for any longer. It says
// what the call waited for, if it was not for the response.
func (c *Call) unanswered(code Code, message string) *Error {
	failure := &Error{Code: code, Message: message}
	if m := c.session.mux; c.waiting {
		switch {
		case m.conn.State() == packet.Connected:
			failure.Message = fmt.Sprintf("waited for a slot: all %d of the session are in use (slots)", m.slots)
		case m.failure != nil:
			why := c.session.reason(m.failure)
			failure.Message, failure.Cause = "not connected: "+why.Message, why.Cause
		default:
			failure.Message = fmt.Sprintf("not connected: no answer from %v so far", m.conn.Addr())
		}
	}
	return failure
}

// callQueue is a FIFO of calls that wait for a slot.
type callQueue struct {
	head, tail *Call
	length     int
}

func (q *callQueue) push(c *Call) {
	c.waiting, c.prev, c.next = true, q.tail, nil
	if q.tail == nil {
		q.head = c
	} else {
		q.tail.next = c
	}
	q.tail = c
	q.length++
}

func (q *callQueue) pop() *Call {
	c := q.head
	q.remove(c)
	return c
}

func (q *callQueue) remove(c *Call) {
	if c.prev == nil {
		q.head = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		q.tail = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.waiting, c.prev, c.next = false, nil, nil
	q.length--
}
