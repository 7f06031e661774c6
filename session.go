package peregrine

import (
	"context"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/internal/goroutine"
)

// Session is a client's line to a server. A bounded number of requests are
// under way in it at a time; more wait their turn, up to a bound. When the
// connection is lost, requests under way fail with an [Error] that says whether
// they may have executed, and the next call connects anew.
//
// Its methods may be called from any goroutine.
type Session struct {
	endpoint *Endpoint
	loop     *loop
	session  *core.Session
	owner    bool // of the endpoint, which Dial opened for this session alone
	// waitForReady says that all calls do.
	waitForReady bool

	connection connection
	following  following
}

// empty stands for a nil buf in Call: the response is then copied out of
// receive memory, into memory of its own.
var empty = make([]byte, 0)

// Call sends request to a method and waits for the reply, which it returns in
// buf if it fits buf's capacity, and in new memory otherwise; buf may be nil.
// request must not change meanwhile. A deadline of ctx travels to the server.
//
// When ctx ends first, the error matches ctx.Err() under errors.Is; any other
// is an *Error. With a context that is over already nothing is sent. If a
// handler or completion holds the session's loop just then, Call returns all
// the same, and the error matches [ErrLoopHeld] too: request and buf are then
// still the call's, until the loop is free, and must not be used again.
//
// On a loop of the session's endpoint Call would wait for itself, and returns
// [ErrOnLoop].
func (s *Session) Call(ctx context.Context, method uint16, request, buf []byte) ([]byte, error) {
	if s.endpoint == nil || s.endpoint.call != nil {
		return Method{session: s, number: method}.Call(ctx, request, buf)
	}
	response, _, err := s.call(ctx, binding{number: method}, request, buf)
	return response, err
}

// call calls a method, by number, over the connection that it is bound to, or any. It
// returns which that was.
func (s *Session) call(ctx context.Context, method binding, request, buf []byte) (response []byte, via uint64, err error) {
	if s.endpoint.here() {
		return nil, 0, ErrOnLoop
	}
	timeout := time.Duration(0)
	deadline, ok := ctx.Deadline()
	if ok {
		timeout = time.Until(deadline)
	}
	done := ctx.Done()
	if done != nil && ctx.Err() != nil || ok && timeout <= 0 {
		return nil, 0, ended(ctx, false)
	}
	w := waiters.Get().(*waiter)
	c := &w.call
	terms := termsOf(ctx)
	c.Method, c.Tied, c.WaitForReady, c.Trace = method.number, method.connection, s.waitForReady || terms.ready, terms.trace
	c.Request, c.Buf, c.Timeout = request, buf, timeout
	if buf == nil {
		c.Buf = empty
	}
	at, err := s.enter(c)
	if err != nil {
		return nil, 0, err
	}
	if done == nil {
		<-w.done
	} else {
		select {
		case <-w.done:
		case <-done:
			response, err := w.abandon(ctx, s, at) // and w is not reused: the loop may be about to look at it
			return response, 0, late(ctx, err)
		}
	}
	response, via, err = c.Response, c.Via, c.Err
	if err != nil {
		err = late(ctx, err)
	}
	c.Request, c.Buf, c.Response, c.Err = nil, nil, nil, nil
	waiters.Put(w)
	return response, via, err
}

// late calls Canceled by its right name where ctx's clock was faster than the
// loop's in ending the call.
func late(ctx context.Context, err error) error {
	if e, ok := err.(*Error); ok && e.Code == Canceled && ctx.Err() == context.DeadlineExceeded {
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
// A panic there is the program's end, as in any goroutine of its own; after
// runtime.Goexit, which FailNow of a test calls, the loop goes on.
//
// Go panics if c or c.Done is nil. A Call is under way once at a time: one that
// is started again before its Done has the loop panic, and so ends the program.
func (s *Session) Go(c *Call) {
	mustComplete(c)
	if s.waitForReady {
		c.WaitForReady = true
	}
	if _, err := s.enter(c); err != nil {
		c.Response, c.Err = nil, err
		go c.Done(c)
	}
}

// mustComplete panics, where its caller can be seen, for a call that could not
// tell how it ended.
func mustComplete(c *Call) {
	if c == nil || c.Done == nil {
		panic("peregrine: this Call or its Done is nil; a call tells by Done how it ended")
	}
}

// enter hands the loop a call, and says where in its inbox that is.
func (s *Session) enter(c *Call) (at place, err error) {
	l := s.loop
	if l == nil {
		return at, errNotOpen
	}
	if l.inbox.crowds.Load() >= maxPosted {
		return at, &Error{Code: ResourceExhausted, Message: "the session's loop does not keep up"}
	}
	at, ok := l.inbox.put(message{session: s.session, call: c})
	if !ok {
		return at, errClosed
	}
	l.rouse()
	return at, nil
}

// Submit starts c as Go does, but at once, on the session's loop: in a Call's
// Done, an inline handler of the same loop, or a function given to Loop. That
// saves the way through the inbox. Called elsewhere it is Go.
func (s *Session) Submit(c *Call) {
	mustComplete(c)
	if s.loop == nil || uintptr(goroutine.Self()) != s.loop.self.Load() {
		s.Go(c)
		return
	}
	if s.waitForReady {
		c.WaitForReady = true
	}
	s.session.Submit(c)
}

// Loop runs f on the session's loop, soon; false means that the endpoint is
// closed. f must not block, nor be nil. It may end as a call's Done may.
func (s *Session) Loop(f func()) bool {
	if f == nil {
		panic("peregrine: the function given to Loop is nil")
	}
	return s.loop != nil && s.loop.post(message{do: f})
}

// Cancel completes c with Canceled, if it is still under way. c must not be used
// again, since it may complete before Cancel takes effect.
func (s *Session) Cancel(c *Call) {
	if c == nil {
		panic("peregrine: the Call given to Cancel is nil")
	}
	s.Loop(func() { s.session.Cancel(c) })
}

// Ping measures one round trip of the connection. Like Call it waits until ctx
// ends, and not at all on the session's loop.
func (s *Session) Ping(ctx context.Context) (time.Duration, error) {
	switch {
	case s.session == nil:
		return 0, errNotOpen
	case s.endpoint.here():
		return 0, ErrOnLoop
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

// Endpoint is the one that the session runs on: its own if it is from the
// package's Dial.
func (s *Session) Endpoint() *Endpoint { return s.endpoint }

// Close ends the session: what is under way fails with Canceled. A session from
// the package's Dial closes its endpoint too, and waits for that as
// [Endpoint.Close] does.
func (s *Session) Close() error {
	if s.session == nil {
		return nil
	}
	s.loop.post(message{do: func() { s.session.Close() }})
	if s.owner {
		return s.endpoint.Close()
	}
	return nil
}
