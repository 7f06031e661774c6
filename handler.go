package peregrine

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// Handler answers requests of a method. Unless its registration says
// otherwise it runs on a loop and must not block.
type Handler func(Request)

// Request is one request. It is a small value, valid until it is answered.
type Request struct {
	request *core.Request
	away    *deferred // set off the loop
	loop    *loop
}

// deferred is a request that is answered off the loop.
type deferred struct {
	request *core.Request
	loop    *loop
	serial  uint64
	method  uint16
	data    []byte
	peer    netip.AddrPort
	until   time.Time

	kept     bool        // by its handler, to answer after it returns
	answered atomic.Bool // the first answer counts
	canceled atomic.Bool // nobody waits any more
}

// run runs h off the loop, unless that is in vain, and answers if it does not.
func (d *deferred) run(h Handler) {
	switch {
	case d.canceled.Load():
		d.answer(Canceled, nil)
		return
	case !d.until.IsZero() && time.Now().After(d.until):
		d.answer(DeadlineExceeded, []byte("expired before the handler began"))
		return
	}
	h(Request{loop: d.loop, away: d})
	if !d.kept {
		d.answer(Internal, []byte("handler returned without a reply"))
	}
}

// answer is a reply on its way to the loop.
type answer struct {
	request *core.Request
	serial  uint64
	code    Code
	data    []byte
}

// give answers on the loop, unless the request has ended.
func (a *answer) give() {
	if a.request.Serial != a.serial {
		return
	}
	if a.code == OK {
		a.request.Reply(a.data)
	} else {
		a.request.Fail(a.code, string(a.data))
	}
}

// Method is what the client asked for.
func (r Request) Method() uint16 {
	if r.away != nil {
		return r.away.method
	}
	return r.request.Method
}

// Data is the message, read-only. In an inline handler it is valid until the
// handler returns, or until the answer if the handler defers that.
func (r Request) Data() []byte {
	if r.away != nil {
		return r.away.data
	}
	return r.request.Data
}

// Peer is the client's address.
func (r Request) Peer() netip.AddrPort {
	if r.away != nil {
		return r.away.peer
	}
	return r.request.Peer()
}

// Deadline is when the client stops waiting; ok is false if it does not.
func (r Request) Deadline() (at time.Time, ok bool) {
	if r.away != nil {
		return r.away.until, !r.away.until.IsZero()
	}
	if r.request.Deadline == 0 {
		return time.Time{}, false
	}
	return r.loop.epoch.Add(r.request.Deadline), true
}

// Reply answers the request. Inline, a reply that fits one packet is copied; a
// longer one, and any reply given off the loop, must not change afterwards.
// Only the first answer counts.
func (r Request) Reply(data []byte) {
	if r.away != nil {
		r.away.answer(OK, data)
		return
	}
	r.request.Reply(data)
}

// Fail answers the request with an error.
func (r Request) Fail(code Code, message string) {
	if r.away != nil {
		r.away.answer(code, []byte(message))
		return
	}
	r.request.Fail(code, message)
}

// Defer lets an inline handler return and the answer come later, from any
// goroutine. The returned Request is for that; its Data stays valid until the
// answer. Every deferred request must be answered, since it holds a slot.
func (r Request) Defer() Request {
	if r.away != nil {
		r.away.kept = true
		return r
	}
	q := r.request
	until, _ := r.Deadline()
	q.Defer()
	d := &deferred{
		request: q, loop: r.loop, serial: q.Serial, method: q.Method, data: q.Data, peer: q.Peer(), until: until,
	}
	q.Canceled = func() { d.canceled.Store(true) }
	return Request{loop: r.loop, away: d}
}

// Canceled says whether nobody waits for the answer any more: the client gave
// up, closed its session or was lost. It is for handlers off the loop; inline
// it is always false.
func (r Request) Canceled() bool { return r.away != nil && r.away.canceled.Load() }

func (d *deferred) answer(code Code, data []byte) {
	if d.answered.CompareAndSwap(false, true) {
		d.loop.post(message{answer: &answer{d.request, d.serial, code, data}})
	}
}

// HandleOption says where a method's handler runs.
type HandleOption func(*placement)

// placement says how a handler gets off the loop; nil: it stays.
type placement struct {
	wrap func(Handler) Handler
}

// Inline runs the handler on the receiving loop. It is the default, and the
// fastest for handlers of a few microseconds.
func Inline() HandleOption { return func(p *placement) { p.wrap = nil } }

// Go runs the handler on a goroutine of its own for each request, at most limit
// at a time over all loops; beyond, requests fail with ResourceExhausted.
func Go(limit int) HandleOption {
	return func(p *placement) {
		tokens := make(chan struct{}, limit)
		p.wrap = func(h Handler) Handler {
			return func(r Request) {
				select {
				case tokens <- struct{}{}:
				default:
					r.Fail(ResourceExhausted, "server runs as many of these as it is configured for")
					return
				}
				away := r.Defer().away
				go func() {
					defer func() { <-tokens }()
					away.run(h)
				}()
			}
		}
	}
}

// Handle sets the handler of a method, on all loops; nil removes it. It waits for the loops, so
// handlers and completions must not call it.
func (e *Endpoint) Handle(method uint16, h Handler, opts ...HandleOption) {
	h = place(h, opts)
	for _, l := range e.loops {
		l.ask(func() { l.handle(method, h) })
	}
}

// place turns a handler into one that runs on the loop.
func place(h Handler, opts []HandleOption) Handler {
	var p placement
	for _, opt := range opts {
		opt(&p)
	}
	if p.wrap == nil || h == nil {
		return h
	}
	return p.wrap(h)
}
