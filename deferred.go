package peregrine

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// deferred is a request that is answered off the loop. One whose handler answered, and
// returned without Defer, is used for another request: who still has a handle of the one
// before finds another serial in its state.
type deferred struct {
	handle  handle
	request *core.Request // for the loop alone
	serial  uint64        // likewise; others have it from state
	method  uint16
	data    []byte
	peer    netip.AddrPort
	who     any // core.Request.Identity
	until   time.Time
	trace   atomic.Pointer[Trace] // nil: none

	handed   bool          // out by Defer of an inline handler; the loop's
	kept     atomic.Bool   // by a handler off the loop, to answer after it returns
	canceled atomic.Bool   // nobody waits any more
	state    atomic.Uint64 // the serial, stateReturned and one of the others
	life     atomic.Pointer[life]

	// The answer, for the loop to give:
	code     Code
	reply    []byte
	released func()
}

// States of a deferred request.
const (
	stateOpen      = iota
	stateAnswered  // the first answer counts
	stateAbandoned // answered in the handler's place, when it was over

	stateEnd      = 3      // a mask of these
	stateReturned = 1 << 2 // its handler off the loop is done with it
	stateSerial   = 3      // how far the serial is shifted
)

// gone is the record of requests whose own is another's by now.
var gone = func() *deferred {
	d := &deferred{}
	d.canceled.Store(true)
	d.state.Store(stateAnswered)
	return d
}()

// end is which of the states d ended in, or stateOpen.
func (d *deferred) end() uint64 { return d.state.Load() & stateEnd }

// is says whether d is still the record of the request of that serial.
func (d *deferred) is(serial uint64) bool { return d.state.Load()>>stateSerial == serial }

// maxRecords is how many records a loop keeps for requests to come.
const maxRecords = 256

// recordOf makes the record of q, on the loop.
func (l *loop) recordOf(q *core.Request) *deferred {
	var d *deferred
	if n := len(l.records) - 1; n >= 0 {
		d = l.records[n]
		l.records = l.records[:n]
	} else {
		d = &deferred{}
		d.handle = handle{loop: l, away: d}
	}
	// No handle of the request before leads here from now on. What it could still have
	// touched until now is cleared after that.
	d.state.Store(q.Serial << stateSerial)
	if d.canceled.Load() {
		d.canceled.Store(false)
	}
	if d.life.Load() != nil {
		d.life.Store(nil)
	}
	if d.trace.Load() != nil {
		d.trace.Store(nil)
	}
	d.setTrace(q.Trace())
	d.request, d.serial, d.method, d.peer, d.who = q, q.Serial, q.Method, q.Peer(), q.Identity()
	d.until = time.Time{}
	if q.Deadline != 0 {
		d.until = l.epoch.Add(q.Deadline)
	}
	return d
}

// setTrace has d be part of a trace, if that is one.
func (d *deferred) setTrace(trace Trace) {
	if trace.IsValid() {
		kept := trace
		d.trace.Store(&kept)
	}
}

// reuse keeps d, which has been answered, for another request, if its handler is done
// with it.
func (l *loop) reuse(d *deferred) {
	if d.state.Load() == d.serial<<stateSerial|stateReturned|stateAnswered && len(l.records) < maxRecords {
		d.handed, d.request, d.data, d.who, d.reply, d.released = false, nil, nil, nil, nil, nil
		l.records = append(l.records, d)
	}
}

// run runs h off the loop, unless that is in vain, and answers if it does not.
func (d *deferred) run(h Handler) {
	switch {
	case d.canceled.Load():
		d.answer(d.serial, Canceled, nil, nil)
		return
	case !d.until.IsZero() && time.Now().After(d.until):
		d.answer(d.serial, DeadlineExceeded, []byte("expired before the handler began"), nil)
		return
	}
	returned := false
	defer func() {
		if !returned {
			told := d.handle.loop.endpoint.mishaps.caught(recover(), d.method, d.peer)
			d.close(d.serial, stateAbandoned, Internal, []byte(told), nil)
		}
	}()
	h(Request{handle: &d.handle, serial: d.serial})
	returned = true
	if !d.kept.Load() {
		d.close(d.serial, stateAbandoned, Internal, noReply, nil)
		d.state.Or(stateReturned) // the last use of it here
	}
}

// noReply is made once: every handler off the loop that answers comes by it.
var noReply = []byte("handler returned without a reply")

// contents is the data of the request of that serial, until its answer. It looks twice:
// what is read in between may be half of the next request's.
func (d *deferred) contents(serial uint64) []byte {
	open := serial << stateSerial // stateOpen is 0
	if d.state.Load() != open {
		return nil
	}
	if data := d.data; d.state.Load() == open {
		return data
	}
	return nil
}

// identity is the client's, likewise; nil once the record is another's.
func (d *deferred) identity(serial uint64) any {
	who := d.who
	if !d.is(serial) {
		return nil
	}
	return who
}

// answer sends the handler's answer to the loop, if it is the first to the request of
// that serial.
func (d *deferred) answer(serial uint64, code Code, reply []byte, released func()) {
	if !d.close(serial, stateAnswered, code, reply, released) && d.state.Load()&^stateReturned == serial<<stateSerial|stateAbandoned {
		d.handle.loop.endpoint.mishaps.misused()
	}
}

// close ends d in one of the states, with an answer; false: it had one before.
func (d *deferred) close(serial, state uint64, code Code, reply []byte, released func()) bool {
	open := serial << stateSerial // stateOpen is 0
	first := d.state.CompareAndSwap(open, open|state)
	if first {
		d.code, d.reply, d.released = code, reply, released
		d.life.Load().end()
		if d.handle.loop.post(message{answer: d}) {
			return true
		}
	}
	if released != nil {
		released()
	}
	return first
}

// give answers on the loop. The engine's request is this one still, also if its
// client is gone: nothing but its answer ends it, and there is one.
func (d *deferred) give() {
	give(d.request, d.code, d.reply, d.released)
	d.handle.loop.reuse(d)
}

// Cancel notes, on the loop, that nobody waits any more.
func (d *deferred) Cancel() {
	d.canceled.Store(true)
	d.life.Load().end()
}

// life is a request's context, made when asked for.
type life struct {
	ctx  context.Context
	stop context.CancelFunc
}

// context is the request's, which ends with it.
func (d *deferred) context() context.Context {
	l := d.life.Load()
	if l == nil {
		base := context.Background()
		if trace := d.trace.Load(); trace != nil {
			base = ContextWithTrace(base, *trace)
		}
		l = &life{}
		if d.until.IsZero() {
			l.ctx, l.stop = context.WithCancel(base)
		} else {
			l.ctx, l.stop = context.WithDeadline(base, d.until)
		}
		if !d.life.CompareAndSwap(nil, l) {
			l.stop()
			return d.context()
		}
	}
	// Whoever ends the request says so first, and then looks for a context.
	if d.end() != stateOpen || d.canceled.Load() {
		l.stop()
	}
	return l.ctx
}

// end ends a context, if there is one.
func (l *life) end() {
	if l != nil {
		l.stop()
	}
}
