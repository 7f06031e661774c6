package peregrine

import (
	"context"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/internal/goroutine"
)

// Request is one request, in the hands of its handler. It is a small value.
//
// In an inline handler it may be used by the handler's goroutine until the
// handler returns. What answers later, or elsewhere, needs the Request that
// [Request.Defer] returns, which any goroutine may use. Handlers that run off
// the loop have such a one already; to answer after they return they call Defer
// as well.
//
// A Request whose time is over is inert: its methods do nothing and return
// nothing. Using one is a mistake, which the endpoint logs once and counts
// (Stats.RequestsMisused). The zero Request is none, and its methods panic.
type Request struct {
	handle *handle
	serial uint64 // of handle.request or handle.away, while this is about it
}

// handle is what Requests lead to: one of each loop, for the request whose inline
// handler runs, and one of each request that left its loop.
type handle struct {
	loop    *loop
	away    *deferred     // off the loop
	request *core.Request // inline: the one whose handler began last; for the loop alone
}

// current returns the engine's request while the handler of an inline handle
// runs, and calls; nil says that the handle's time is over.
func (r Request) current() *core.Request {
	if h := r.handle; h != nil && h.loop.here() && h.request.Serial == r.serial && h.loop.engine.Serving() == h.request {
		return h.request
	}
	r.misused()
	return nil
}

// away is the record of a request that left its loop, gone if that is another's now, else
// nil.
func (r Request) away() *deferred {
	if r.handle == nil || r.handle.away == nil {
		return nil
	}
	if !r.handle.away.is(r.serial) {
		return gone
	}
	return r.handle.away
}

// misused notes that a handle is used whose time is over.
func (r Request) misused() {
	if r.handle == nil {
		panic("peregrine: this Request is a zero value; only those that handlers are given stand for a request")
	}
	r.handle.loop.endpoint.mishaps.misused()
}

// Method is what the client asked for.
func (r Request) Method() uint16 {
	if d := r.away(); d != nil {
		return d.method
	}
	if q := r.current(); q != nil {
		return q.Method
	}
	return 0
}

// Name is the method's, if the endpoint has it by name; else "".
func (r Request) Name() string {
	if r.handle == nil {
		r.misused()
	}
	return r.handle.loop.endpoint.MethodName(r.Method())
}

// Data is the message, read-only. In an inline handler it is valid until the
// handler returns; off the loop, and after Defer, until the answer. Then the
// memory is used for other requests: copy what is to be kept (bytes.Clone). In
// tests, unless benchmarks run, and under the race detector it is overwritten
// with 0xDB at once, so that who keeps it notices.
func (r Request) Data() []byte {
	// What current does, spelled out here and in Reply: calls cost as much again.
	if h := r.handle; h != nil && h.away == nil && uintptr(goroutine.Self()) == h.loop.self.Load() {
		if q := h.request; q.Serial == r.serial && q.Open() {
			return q.Data
		}
	}
	return r.contents()
}

// contents is Data off the loop, and after an answer.
func (r Request) contents() []byte {
	if d := r.away(); d != nil {
		return d.contents(r.serial)
	}
	if q := r.current(); q != nil {
		return q.Data
	}
	return nil
}

// Peer is the client's address.
func (r Request) Peer() netip.AddrPort {
	if d := r.away(); d != nil {
		return d.peer
	}
	if q := r.current(); q != nil {
		return q.Peer()
	}
	return netip.AddrPort{}
}

// Deadline is when the client stops waiting; ok is false if it does not.
func (r Request) Deadline() (at time.Time, ok bool) {
	if d := r.away(); d != nil {
		return d.until, !d.until.IsZero()
	}
	if q := r.current(); q != nil && q.Deadline != 0 {
		return r.handle.loop.epoch.Add(q.Deadline), true
	}
	return time.Time{}, false
}

// Trace is what the client says that the request is part of, by [ContextWithTrace] or
// Call.Trace; the zero Trace: nothing.
func (r Request) Trace() Trace {
	if d := r.away(); d != nil {
		if trace := d.trace.Load(); trace != nil {
			return *trace
		}
		return Trace{}
	}
	if q := r.current(); q != nil {
		return q.Trace()
	}
	return Trace{}
}

// SetTrace has Context, if that was not asked for yet, be part of a trace: that of a
// span of the handler's own, in place of the client's. It is for interceptors; a trace
// that is not valid changes nothing.
func (r Request) SetTrace(trace Trace) {
	if d := r.away(); d != nil {
		if d != gone {
			d.setTrace(trace)
		}
		return
	}
	if q := r.current(); q != nil {
		q.SetTrace(trace)
		if d := r.handle.loop.deferred; d != nil {
			d.setTrace(trace)
		}
	}
}

// Context is a context with the request's deadline and [Request.Trace]. It is canceled when the
// request has been answered, when the client gives up, closes its session or is
// lost, and when an inline handler returns that did not Defer. A loop that a
// handler holds hears of nothing but the deadline. Calls to other servers under
// it end with the request that they are for. It costs an allocation or two, for
// those that ask for it.
func (r Request) Context() context.Context {
	if d := r.away(); d != nil {
		return d.context()
	}
	if q := r.current(); q != nil {
		return r.record(q).context()
	}
	return over
}

// over is the context of requests whose time is over.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// record is what outlives the inline handler of q, if it defers.
func (r Request) record(q *core.Request) *deferred {
	l := r.handle.loop
	if l.deferred == nil {
		l.deferred = l.recordOf(q)
	}
	return l.deferred
}

// leave takes the request of an inline handler, which has not answered it, off the loop.
func (r Request) leave() *deferred {
	q := r.handle.request
	d := r.record(q)
	d.handed = true
	q.Defer()
	d.data = q.Data
	q.Canceled = d
	return d
}

// served ends what the handler that has returned did not defer.
func (l *loop) served() {
	if !l.deferred.handed {
		l.deferred.Cancel()
	}
	l.deferred = nil
}

// Reply answers the request. Inline, a reply that fits one packet is copied; a
// longer one, and any reply given off the loop, must not change afterwards: see
// [Request.ReplyThen]. Only the first answer counts; others do nothing, so that
// a handler may end in a Fail for what it has not answered.
func (r Request) Reply(data []byte) {
	if h := r.handle; h != nil && h.away == nil && uintptr(goroutine.Self()) == h.loop.self.Load() {
		if q := h.request; q.Serial == r.serial && q.Open() {
			q.Reply(data)
			return
		}
	}
	r.answer(OK, data, nil)
}

// ReplyThen answers as Reply does, and calls released once, when data may change
// again: the client has the reply, or nobody will send it any more. released
// runs on the loop, or in ReplyThen itself if the answer does not count; it must
// not block.
func (r Request) ReplyThen(data []byte, released func()) { r.answer(OK, data, released) }

// Fail answers the request with an error.
func (r Request) Fail(code Code, message string) {
	if code == OK {
		code = Unknown
	}
	r.answer(code, []byte(message), nil)
}

func (r Request) answer(code Code, data []byte, released func()) {
	if d := r.away(); d != nil {
		d.answer(r.serial, code, data, released)
		return
	}
	q := r.current()
	switch {
	case q != nil && q.Open():
		give(q, code, data, released)
	case q != nil && r.handle.loop.deferred != nil && r.handle.loop.deferred.handed:
		r.handle.loop.deferred.answer(r.serial, code, data, released)
	case released != nil:
		released()
	}
}

// give answers q, on the loop.
func give(q *core.Request, code Code, data []byte, released func()) {
	if released != nil {
		q.Released = released
	}
	if code == OK {
		q.Reply(data)
	} else {
		q.Fail(code, string(data))
	}
}

// Defer lets a handler return and the answer come later, from any goroutine. The
// returned Request is for that; its Data stays valid until the answer. Every
// deferred request must be answered, since it holds a slot.
func (r Request) Defer() Request {
	if d := r.away(); d != nil {
		d.kept.Store(true)
		return r
	}
	q := r.current()
	if q == nil {
		return r
	}
	d := r.record(q)
	switch {
	case d.handed:
	case !q.Open():
		d.state.Or(stateAnswered)
	default:
		r.leave()
	}
	return Request{handle: &d.handle, serial: d.serial}
}

// Canceled says whether nobody waits for the answer any more: the client gave
// up, closed its session or was lost. It is for handlers off the loop; inline
// it is always false, since the loop hears nothing meanwhile. [Request.Context]
// says the same without being asked.
func (r Request) Canceled() bool {
	if d := r.away(); d != nil {
		return d.canceled.Load()
	}
	return r.current() == nil
}
