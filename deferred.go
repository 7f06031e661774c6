package peregrine

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// deferred is a request that is answered off the loop.
type deferred struct {
	handle  handle
	request *core.Request // for the loop alone
	serial  uint64
	method  uint16
	data    []byte
	peer    netip.AddrPort
	who     any // core.Request.Identity
	until   time.Time

	handed   bool        // out by Defer of an inline handler; the loop's
	kept     atomic.Bool // by a handler off the loop, to answer after it returns
	canceled atomic.Bool // nobody waits any more
	state    atomic.Int32
	life     life

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
)

// run runs h off the loop, unless that is in vain, and answers if it does not.
func (d *deferred) run(h Handler) {
	switch {
	case d.canceled.Load():
		d.answer(Canceled, nil, nil)
		return
	case !d.until.IsZero() && time.Now().After(d.until):
		d.answer(DeadlineExceeded, []byte("expired before the handler began"), nil)
		return
	}
	returned := false
	defer func() {
		if !returned {
			told := d.handle.loop.endpoint.mishaps.caught(recover(), d.method, d.peer)
			d.close(stateAbandoned, Internal, []byte(told), nil)
		}
	}()
	h(Request{handle: &d.handle})
	returned = true
	if !d.kept.Load() {
		d.close(stateAbandoned, Internal, noReply, nil)
	}
}

// noReply is made once: every handler off the loop that answers comes by it.
var noReply = []byte("handler returned without a reply")

func (d *deferred) contents() []byte {
	if d.state.Load() != stateOpen {
		return nil
	}
	return d.data
}

// answer sends the handler's answer to the loop, if it is the first.
func (d *deferred) answer(code Code, reply []byte, released func()) {
	if !d.close(stateAnswered, code, reply, released) && d.state.Load() == stateAbandoned {
		d.handle.loop.endpoint.mishaps.misused()
	}
}

// close ends d in one of the states, with an answer; false: it had one before.
func (d *deferred) close(state int32, code Code, reply []byte, released func()) bool {
	first := d.state.CompareAndSwap(stateOpen, state)
	if first {
		d.code, d.reply, d.released = code, reply, released
		d.life.end()
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
func (d *deferred) give() { give(d.request, d.code, d.reply, d.released) }

// Cancel notes, on the loop, that nobody waits any more.
func (d *deferred) Cancel() {
	d.canceled.Store(true)
	d.life.end()
}

// life is a request's context, made when asked for.
type life struct {
	sync.Mutex
	ctx   context.Context
	stop  context.CancelFunc
	ended bool
}

func (l *life) context(until time.Time) context.Context {
	l.Lock()
	defer l.Unlock()
	if l.ctx == nil {
		if until.IsZero() {
			l.ctx, l.stop = context.WithCancel(context.Background())
		} else {
			l.ctx, l.stop = context.WithDeadline(context.Background(), until)
		}
		if l.ended {
			l.stop()
		}
	}
	return l.ctx
}

func (l *life) end() {
	l.Lock()
	l.ended = true
	stop := l.stop
	l.Unlock()
	if stop != nil {
		stop()
	}
}
