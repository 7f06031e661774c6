package peregrine

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// waiter is a blocking call's state, reused so that Call need not allocate.
type waiter struct {
	call Call
	done chan struct{}
}

var waiters = sync.Pool{New: func() any {
	w := &waiter{done: make(chan struct{}, 1)}
	w.call.Done = func(*Call) { w.done <- struct{}{} }
	return w
}}

// abandon ends the wait for a call of s whose context has ended. One that is still
// where the inbox got it never starts.
func (w *waiter) abandon(ctx context.Context, s *Session, at place) ([]byte, error) {
	if s.loop.inbox.takeBack(at) {
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
func ended(ctx context.Context, began bool) *Error {
	if ctx.Err() == context.Canceled {
		return &Error{Code: Canceled, Message: "canceled by the caller", MayHaveExecuted: began}
	}
	return &Error{Code: DeadlineExceeded, Message: "no response in time", MayHaveExecuted: began}
}
