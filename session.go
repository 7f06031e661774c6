package peregrine

import (
	"context"
	"sync"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// Session is a client's line to a server. A bounded number of requests are
// under way in it at a time; more wait their turn, up to a bound. When the
// connection is lost, requests under way fail with an [Error] that says whether
// they may have executed, and the next call connects anew.
//
// Its methods may be called from any goroutine, save Submit.
type Session struct {
	endpoint *Endpoint
	loop     *loop
	session  *core.Session
	owner    bool // of the endpoint, which Dial opened for this session alone
	// waitForReady says that all calls do.
	waitForReady bool

	connection connection
}

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

// empty stands for a nil buf in Call: the response is then copied out of
// receive memory, into memory of its own.
var empty = make([]byte, 0)

// Call blocks, so handlers that run on a loop and completions must not use it.
//
// It sends request to a method and waits for the reply, which it returns in
// buf if it fits buf's capacity, and in new memory otherwise; buf may be nil.
// request must not change meanwhile. A deadline of ctx travels to the server.
// When ctx ends first, the error matches ctx.Err() under errors.Is; any other
// is an *Error.
func (s *Session) Call(ctx context.Context, method uint16, request, buf []byte) ([]byte, error) {
	switch {
	case s.endpoint == nil:
		return nil, errNotOpen
	case s.endpoint.call != nil:
		return s.endpoint.call(ctx, s, method, request, buf)
	}
	return s.call(ctx, method, request, buf)
}

func (s *Session) call(ctx context.Context, method uint16, request, buf []byte) ([]byte, error) {
	w := waiters.Get().(*waiter)
	c := &w.call
	c.Method, c.Request, c.Buf, c.Timeout, c.WaitForReady = method, request, buf, 0, false
	if buf == nil {
		c.Buf = empty
	}
	if deadline, ok := ctx.Deadline(); ok {
		c.Timeout = max(1, time.Until(deadline))
	}
	s.Go(c)
	canceled := false
	if ctx.Done() == nil {
		<-w.done
	} else {
		select {
		case <-w.done:
		case <-ctx.Done():
			canceled = true
			s.Cancel(c)
			<-w.done
		}
	}
	response, err := c.Response, c.Err
	if ctx.Err() == context.DeadlineExceeded {
		err = late(err)
	}
	if !canceled { // else the loop may still be about to look at c
		c.Request, c.Buf, c.Response, c.Err = nil, nil, nil, nil
		waiters.Put(w)
	}
	return response, err
}

// late calls Canceled by its right name where ctx's clock was faster than the
// loop's in ending the call.
func late(err error) error {
	if e, ok := err.(*Error); ok && e.Code == Canceled {
		named := *e
		named.Code = DeadlineExceeded
		return &named
	}
	return err
}

// maxPosted bounds the calls that wait for a loop that is held up.
const maxPosted = 1 << 18

// Go starts c and returns. c.Done runs on the session's loop, or on a goroutine
// of its own if the endpoint is closed or its loop is held up; it must not block.
func (s *Session) Go(c *Call) {
	if s.waitForReady {
		c.WaitForReady = true
	}
	err := errClosed
	if s.loop == nil {
		err = errNotOpen
	} else if s.loop.inbox.length.Load() >= maxPosted {
		err = &Error{Code: ResourceExhausted, Message: "the session's loop does not keep up"}
	} else if s.loop.post(message{session: s.session, call: c}) {
		return
	}
	c.Response, c.Err = nil, err
	go c.Done(c)
}

// Submit starts c as Go does, but may only be called on the session's loop:
// from a Call's Done, an inline handler of the same loop, or a function given
// to Loop.
func (s *Session) Submit(c *Call) {
	if s.session == nil {
		s.Go(c)
		return
	}
	if s.waitForReady {
		c.WaitForReady = true
	}
	s.session.Submit(c)
}

// Loop runs f on the session's loop, soon; false means that the endpoint is
// closed. f must not block.
func (s *Session) Loop(f func()) bool { return s.loop != nil && s.loop.post(message{do: f}) }

// Cancel completes c with Canceled, if it is still under way. c must not be used
// again, since it may complete before Cancel takes effect.
func (s *Session) Cancel(c *Call) {
	s.Loop(func() { s.session.Cancel(c) })
}

// Ping measures one round trip of the connection. Like Call it blocks.
func (s *Session) Ping(ctx context.Context) (time.Duration, error) {
	if s.session == nil {
		return 0, errNotOpen
	}
	type answer struct {
		rtt time.Duration
		err error
	}
	pong := make(chan answer, 1)
	if !s.Loop(func() { s.session.Ping(func(rtt time.Duration, err error) { pong <- answer{rtt, err} }) }) {
		return 0, errClosed
	}
	select {
	case a := <-pong:
		return a.rtt, a.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// Close ends the session: what is under way fails with Canceled. A session from
// the package's Dial closes its endpoint too, so that handlers and completions
// must not call it; they may close one of an Endpoint's Dial.
func (s *Session) Close() error {
	if s.session == nil {
		return nil
	}
	s.loop.post(message{do: s.session.Close})
	if s.owner {
		return s.endpoint.Close()
	}
	return nil
}
