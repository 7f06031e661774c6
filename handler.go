package peregrine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/core"
)

// Handler answers requests of a method. Unless its registration says
// otherwise it runs on a loop and must not block.
//
// A handler that panics, or ends its goroutine by runtime.Goexit, fails its own
// request with Internal and nothing else: it is logged with its stack and
// counted (Stats.HandlersPanicked), unless [WithCrashOnPanic] has the process
// crash instead. The same goes for interceptors and for keys of [Partition].
type Handler func(Request)

// Unary makes a handler of a function from request to reply. ctx is
// [Request.Context]. As in [Request.Data] and [Request.Reply], request must not
// be kept or written to, and a reply not be written to afterwards.
//
// An error fails the request: an [*Error] with its code and message; what wraps
// one with its code and the message of the whole; context.Canceled and
// context.DeadlineExceeded with the codes of these names; any other error with
// Unknown. Clients see the message.
func Unary(f func(ctx context.Context, request []byte) (reply []byte, err error)) Handler {
	return func(r Request) {
		reply, err := f(r.Context(), r.Data())
		if err != nil {
			r.Fail(status(err))
			return
		}
		r.Reply(reply)
	}
}

// status is how a handler's error is told to the client.
func status(err error) (Code, string) {
	if e, ok := err.(*Error); ok {
		return cmp.Or(e.Code, Unknown), e.Message // an error is never OK
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		return cmp.Or(e.Code, Unknown), err.Error()
	case errors.Is(err, context.Canceled):
		return Canceled, err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return DeadlineExceeded, err.Error()
	}
	return Unknown, err.Error()
}

// HandleOption says where a method's handler runs.
type HandleOption func(*placement)

// placement says how a handler gets off the loop; without wrap it stays.
type placement struct {
	wrap func(Handler) Handler
	err  error
}

func newPlacement(opts []HandleOption) placement {
	var p placement
	for i, opt := range opts {
		if opt == nil {
			problem := fmt.Sprintf("that of a handler, number %d of %d, is nil", i+1, len(opts))
			return placement{err: &ConfigError{Key: "option", Problem: problem}}
		}
		opt(&p)
	}
	return p
}

// place turns a handler into one that runs on the loop: the interceptors around
// it run where it runs.
func (p placement) place(h Handler, around []func(next Handler) Handler) (Handler, error) {
	if p.err != nil || h == nil {
		return nil, p.err
	}
	h, err := intercepted(around, h)
	if err != nil || p.wrap == nil {
		return h, err
	}
	return p.wrap(h), nil
}

// Inline runs the handler on the receiving loop. It is the default, and the
// fastest for handlers of a few microseconds.
func Inline() HandleOption { return func(p *placement) { *p = placement{} } }

// Go runs the handler off the loop, where it may block, on a goroutine that nobody else
// uses meanwhile, at most limit at a time over all loops; beyond, requests fail with
// ResourceExhausted.
func Go(limit int) HandleOption {
	if limit < 1 {
		return misplaced("limit", fmt.Sprintf("Go(%d) runs nothing: use at least 1", limit))
	}
	return func(p *placement) {
		running := new(atomic.Int64)
		over := func() { running.Add(-1) }
		*p = placement{wrap: func(h Handler) Handler {
			return func(r Request) {
				if running.Add(1) > int64(limit) {
					over()
					r.Fail(ResourceExhausted, "server runs as many of these as it is configured for")
					return
				}
				away := r.leave()
				away.handle.loop.crew.add(errand{away, h, over})
			}
		}}
	}
}

// misplaced is an option that cannot be used.
func misplaced(key, problem string) HandleOption {
	err := &ConfigError{Key: key, Problem: problem}
	return func(p *placement) { *p = placement{err: err} }
}

// Handle sets the handler of a method, on all loops, in place of the one it may
// have; nil removes it. Once Handle has returned no request finds the handler of
// before, unless a handler or a completion of this endpoint called it: then only
// their own loop has changed by that time, and the others follow. The error is a
// [*ConfigError] for options that cannot be used, or that the endpoint is closed.
func (e *Endpoint) Handle(method uint16, h Handler, opts ...HandleOption) error {
	h, err := e.placed(h, opts)
	if err == nil {
		err = e.names.take(method)
	}
	if err != nil {
		return err
	}
	return e.onLoops(func(l *loop) { l.handle(method, h) })
}

// placed is a handler as loops run it.
func (e *Endpoint) placed(h Handler, opts []HandleOption) (Handler, error) {
	if len(e.loops) == 0 {
		return nil, errNotOpen
	}
	return newPlacement(opts).place(h, e.interceptors)
}

// onLoops has each loop do f, and waits for that, unless it is called on one of them.
func (e *Endpoint) onLoops(f func(*loop)) error {
	here := e.here()
	for _, l := range e.loops {
		set := func() { f(l) }
		switch {
		case here && !l.here(): // to wait for a loop that does the same would be for ever
			if !l.post(message{do: set}) {
				return errClosed
			}
		default:
			if err := l.ask(context.Background(), set); err != nil {
				return err
			}
		}
	}
	return nil
}

// handle sets a method's handler in the engine.
func (l *loop) handle(method uint16, h Handler) {
	l.handlers[method] = h
	if h == nil {
		delete(l.handlers, method)
		l.engine.Handle(method, nil)
		return
	}
	l.engine.Handle(method, func(q *core.Request) {
		if l.endpoint.authorize != nil && !l.authorized(q) {
			return
		}
		if l.occupied.timing != 0 {
			began := l.now()
			h(l.inline(q))
			l.occupied.handled(method, l.now()-began)
		} else {
			l.occupied.handling(method)
			h(l.inline(q))
		}
		if l.deferred != nil {
			l.served()
		}
	})
}

// inline is the handle of a request for its inline handler.
func (l *loop) inline(q *core.Request) Request {
	l.serving.request = q
	return Request{&l.serving, q.Serial}
}
