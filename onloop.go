package peregrine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine/internal/goroutine"
)

// ErrOnLoop is returned by methods that wait for a loop when a handler, a
// completion or a function given to Loop calls them on a loop of the same
// endpoint, since they would wait for themselves. Use [Session.Go] or
// [Session.Submit] there, or a goroutine.
var ErrOnLoop error = &Error{
	Code:    FailedPrecondition,
	Message: "this would wait for the loop that it runs on: use Go or Submit instead, or a goroutine",
}

// ErrLoopHeld is matched by the error of a method whose context has ended while
// a handler or a completion held the loop for longer than a moment. What the
// method was to end ends when the loop is free.
var ErrLoopHeld = errors.New("a handler or completion holds the loop; it must not block")

// patience is how long a method whose context has ended waits for a loop that
// should be free.
const patience = 100 * time.Millisecond

// here says whether the caller runs on the loop's goroutine.
func (l *loop) here() bool { return goroutine.Self() == goroutine.ID(l.self.Load()) }

// here says whether the caller runs on one of the endpoint's loops.
func (e *Endpoint) here() bool {
	self := uintptr(goroutine.Self())
	for _, l := range e.loops {
		if l.self.Load() == self {
			return true
		}
	}
	return false
}

// running are the loops of all endpoints of this process.
var running sync.Map // of *loop

// onLoop says whether the caller runs on any of them.
func onLoop() (found bool) {
	running.Range(func(l, _ any) bool {
		found = l.(*loop).here()
		return !found
	})
	return found
}

// ask runs f on the loop and waits for it; called there, it runs f at once. If
// ctx ends before f begins, f does not run.
func (l *loop) ask(ctx context.Context, f func()) error {
	switch {
	case l.here():
		f()
		return nil
	case l.endpoint.here():
		return ErrOnLoop // that loop may be waiting for this one
	}
	var taken atomic.Bool // by f, or by ctx's end
	ready := make(chan struct{})
	if !l.post(message{do: func() {
		if taken.CompareAndSwap(false, true) {
			f()
			close(ready)
		}
	}}) {
		return errClosed
	}
	select {
	case <-ready:
	case <-ctx.Done():
		if taken.CompareAndSwap(false, true) {
			return context.Cause(ctx)
		}
		<-ready
	}
	return nil
}
