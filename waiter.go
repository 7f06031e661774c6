package peregrine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// waiter is a blocking call's state, reused so that Call need not allocate.
type waiter struct {
	call  Call
	done  chan struct{}
	state atomic.Int32
}

// States of a waiter: the loop takes it out of its inbox, or its caller does.
const (
	waiterPosted = iota
	waiterBegun
	waiterWithdrawn
)

var waiters = sync.Pool{New: func() any {
	w := &waiter{done: make(chan struct{}, 1)}
	w.call.Done = func(*Call) { w.done <- struct{}{} }
	return w
}}

// begin says, on the loop, whether the call is to start.
func (w *waiter) begin() bool { return w.state.CompareAndSwap(waiterPosted, waiterBegun) }

// withdraw takes back a call that the loop has not seen: it never starts.
func (w *waiter) withdraw() bool { return w.state.CompareAndSwap(waiterPosted, waiterWithdrawn) }

// abandon ends the wait for a call of s whose context has ended.
func (w *waiter) abandon(ctx context.Context, s *Session) ([]byte, error) {
	if w.withdraw() {
		return nil, ended(ctx, false)
	}
	s.Cancel(&w.call)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.done:
		return w.call.Response, w.call.Err
	case <-timer.C:
		return nil, fmt.Errorf("%w: %w", ended(ctx, true), ErrLoopHeld)
	}
}

// ended is the error of a call whose context has ended.
func ended(ctx context.Context, began bool) error {
	if ctx.Err() == context.Canceled {
		return &Error{Code: Canceled, Message: "canceled by the caller", MayHaveExecuted: began}
	}
	return &Error{Code: DeadlineExceeded, Message: "no response in time", MayHaveExecuted: began}
}
