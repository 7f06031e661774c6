package peregrine

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/internal/preempt"
	"github.com/peregrine-rpc/peregrine/transport"
	_ "github.com/peregrine-rpc/peregrine/transport/iouring" // a backend of many Linux hosts
	_ "github.com/peregrine-rpc/peregrine/transport/udp"     // the backend that runs everywhere
)

// Endpoint serves and calls at one address, by one or more loops. Its methods
// may be called from any goroutine.
type Endpoint struct {
	loops []*loop
	next  atomic.Uint32 // loop for the next session
	log   *zap.Logger

	resolver     Resolver
	call         CallFunc // by interceptors; nil without any
	waitForReady bool
	lazy         bool
	security     string
	byName       bool // servers show by certificates that they have the names that are dialled
	authorize    func(Access) error
	interceptors []func(next Handler) Handler

	stream             StreamFunc // by interceptors; nil without any
	streamInterceptors []func(StreamHandler) StreamHandler

	mishaps mishaps
	names   names
}

// Listen opens an endpoint at the address of a transport URL, such as
// "udp://127.0.0.1:31850", and starts it. Import a backend's package to have its
// scheme; udp is always there.
func Listen(url string, opts ...Option) (*Endpoint, error) {
	o := newOptions(opts)
	switch {
	case o.url != "":
		o.refuse("transport", "Listen takes its URL as an argument: leave out WithTransport")
	case url != "" && o.open != nil:
		o.refuse("transport", "a URL and WithTransports contradict each other: use Listen(\"\", ...)")
	}
	o.url = o.secrecy.split(url, o)
	return open(o)
}

func open(o *options) (*Endpoint, error) {
	if err := errors.Join(o.check(), o.checkHost()); err != nil {
		return nil, err
	}
	e := &Endpoint{log: o.log, resolver: o.resolver, waitForReady: o.waitForReady, lazy: o.lazy}
	e.interceptors, e.mishaps.log, e.mishaps.crash = o.interceptors, o.log, o.crash
	e.streamInterceptors = o.streamInterceptors
	handlers, streams, err := e.prepare(o)
	if err != nil {
		return nil, err
	}
	if err := e.secure(o); err != nil {
		return nil, err
	}
	transports, err := o.transports()
	if err != nil {
		return nil, err
	}
	if o.config.Seed == [32]byte{} {
		rand.Read(o.config.Seed[:])
	}
	epoch := time.Now().Add(-time.Second) // time 0 means never to the engine
	for i, tr := range transports {
		l, err := e.newLoop(o, i, tr, epoch)
		if err != nil {
			for _, tr := range transports {
				tr.Close()
			}
			return nil, err
		}
		e.loops = append(e.loops, l)
	}
	caps := e.Caps()
	e.log.Info("endpoint open", zap.Stringer("address", e.Addr()), zap.String("backend", caps.Backend),
		zap.Int("loops", len(e.loops)), zap.Stringer("poll", o.poll), zap.Int("max_payload", caps.MaxPayload))
	for _, note := range caps.Notes {
		e.log.Warn("transport", zap.String("note", note))
	}
	for _, l := range e.loops {
		for i, h := range o.handlers {
			l.handle(h.method, handlers[i])
		}
		for i, h := range o.streams {
			l.handleStream(h.method, streams[i])
		}
		running.Store(l, nil)
		go l.run()
	}
	return e, nil
}

// prepare makes calls, streams and handlers what interceptors and placements make of them.
func (e *Endpoint) prepare(o *options) (handlers []Handler, streams []StreamHandler, err error) {
	var errs []error
	if len(o.intercept) > 0 {
		e.call, err = intercepted(o.intercept, func(ctx context.Context, m Method, request, buf []byte) ([]byte, error) {
			return m.call(ctx, request, buf)
		})
		errs = append(errs, err)
	}
	if len(o.streamIntercept) > 0 {
		e.stream, err = intercepted(o.streamIntercept, func(ctx context.Context, m Method, header []byte) (*Stream, error) {
			return m.stream(ctx, header)
		})
		errs = append(errs, err)
	}
	for _, h := range o.handlers {
		handler, err := h.placement.place(h.handler, e.interceptors)
		handlers = append(handlers, handler)
		errs = append(errs, err, e.names.take(h.method))
	}
	for _, h := range o.streams {
		handler, err := intercepted(e.streamInterceptors, h.handler)
		streams = append(streams, handler)
		errs = append(errs, err, e.names.take(h.method))
	}
	return handlers, streams, errors.Join(errs...)
}

// transports opens one for each loop.
func (o *options) transports() ([]transport.Transport, error) {
	var trs []transport.Transport
	var err error
	switch {
	case o.file != nil:
		trs, err = o.file.open(o.loops)
	case o.open == nil:
		trs, err = transport.OpenQueues(o.url, o.loops)
	default:
		for i := range o.loops {
			var tr transport.Transport
			if tr, err = o.open(i, o.loops); err == nil && tr == nil {
				err = &ConfigError{Key: "transport", Problem: "the function given to WithTransports opened none"}
			}
			if err != nil {
				for _, opened := range trs {
					opened.Close()
				}
				break
			}
			trs = append(trs, tr)
		}
	}
	if err != nil {
		return nil, err
	}
	for i := range trs {
		for _, decorate := range o.decorate {
			if tr := decorate(i, trs[i]); tr != nil { // or it is left as it is
				trs[i] = tr
			}
		}
		if o.faults != nil {
			trs[i] = transport.NewFault(trs[i], *o.faults)
		}
	}
	return trs, nil
}

func (e *Endpoint) newLoop(o *options, index int, tr transport.Transport, epoch time.Time) (*loop, error) {
	l := &loop{
		endpoint: e, tr: tr, poll: o.poll, cpu: -1, epoch: epoch, log: o.log,
		handlers: map[uint16]Handler{}, done: make(chan struct{}),
	}
	l.serving.loop = l
	l.inbox.open()
	if len(o.cpus) > 0 {
		l.cpu = o.cpus[index]
	}
	config := o.config
	config.Poison = config.Poison || poisoned()
	l.poisons = config.Poison
	config.Misrouted = func(queue int, rx *transport.RxPacket) { e.forward(index, queue, rx) }
	config.Misreported = func(u *transport.Unreachable) { e.forwardReport(index, u) }
	config.Events = func(event core.Event) {
		switch event.Kind {
		case core.PeerConnected:
			o.log.Info("peer connected", zap.Stringer("peer", event.Peer))
		case core.PeerLost:
			o.log.Warn("peer lost", zap.Stringer("peer", event.Peer), zap.String("reason", event.Reason))
		case core.PeerClosed:
			o.log.Info("peer closed", zap.Stringer("peer", event.Peer), zap.String("reason", event.Reason))
		case core.PeerMoved:
			o.log.Info("peer moved", zap.Stringer("peer", event.Peer), zap.String("reason", event.Reason))
		}
		if o.config.Events != nil {
			o.config.Events(event)
		}
	}
	if o.metrics {
		l.meter = &meter{loop: l}
		ended, also := l.meter.ended(), config.Ended
		config.Ended = ended
		if also != nil {
			config.Ended = func(side core.Side, method uint16, code core.Code, since time.Duration, count uint64) {
				ended(side, method, code, since, count)
				also(side, method, code, since, count)
			}
		}
	}
	if o.flight != nil {
		config.Recorder = l.record(o.flight)
	}
	l.born = l.now()
	var err error
	l.idle = idleness{preempted: new(preempt.Watch).Preempted, worked: l.now(), luck: maxLuck}
	l.engine, err = core.New(config, tr, l.now())
	return l, err
}

// maxForwarded bounds the inbox for what is forwarded, since a flood of forged
// packets may ask for it. What is dropped is lost as on any network.
const maxForwarded = 4096

// forward takes a packet from the loop that received it to the one whose it is,
// or to all others if queue is -1.
func (e *Endpoint) forward(from, queue int, rx *transport.RxPacket) {
	if len(e.loops) == 1 {
		return
	}
	for i, l := range e.loops {
		if (i == queue || queue < 0 && i != from) && l.inbox.behind() < maxForwarded {
			f, _ := forwards.Get().(*forwarded)
			if f == nil {
				f = &forwarded{}
				f.inject = f.give
			}
			data := append(f.rx.Data[:0], rx.Data...)
			f.loop, f.rx = l, *rx
			f.rx.Data = data
			l.post(message{do: f.inject})
		}
	}
}

// forwarded is a copy of a packet on its way to the loop whose it is. Copies are
// reused, for a client behind a NAT may come by another queue for long.
type forwarded struct {
	loop   *loop
	rx     transport.RxPacket
	inject func() // give
}

var forwards sync.Pool // of *forwarded

func (f *forwarded) give() {
	f.loop.engine.Inject(&f.rx)
	f.loop = nil
	forwards.Put(f) // unless a handler did not return: then the engine reads on
}

// forwardReport takes word of a datagram that the loop did not send to all others.
func (e *Endpoint) forwardReport(from int, u *transport.Unreachable) {
	copied := *u
	copied.Data = bytes.Clone(u.Data)
	for i, l := range e.loops {
		if i != from {
			if l.inbox.behind() < maxForwarded {
				l.post(message{do: func() { l.engine.InjectUnreachable(&copied) }})
			}
		}
	}
}

var (
	errOtherConnection error = core.ErrOtherConnection

	errClosed  = &Error{Code: Unavailable, Message: "endpoint is closed"}
	errNotOpen = &Error{Code: FailedPrecondition, Message: "the zero Endpoint and Session are of no use: have them from Listen and Dial"}
)

// Addr is the address that peers reach the endpoint by. A wildcard can be
// dialled from the same host.
func (e *Endpoint) Addr() netip.AddrPort {
	if len(e.loops) == 0 {
		return netip.AddrPort{}
	}
	return e.loops[0].tr.LocalAddr()
}

// Caps says what the transport really obtained.
func (e *Endpoint) Caps() transport.Caps {
	if len(e.loops) == 0 {
		return transport.Caps{}
	}
	return e.loops[0].tr.Caps()
}

// Stats returns the counters, added up over the loops, as of a millisecond ago
// at most, unless a handler has held a loop up for longer. Handlers may call it.
func (e *Endpoint) Stats() Stats {
	var sum Stats
	for _, l := range e.loops {
		l.stats.Lock()
		s := l.stats.Stats
		l.stats.Unlock()
		s.Transport = l.tr.Stats()
		sum.Add(&s)
	}
	sum.RequestsMisused = e.mishaps.stale.Load()
	sum.HandlersPanicked = e.mishaps.panicked.Load()
	return sum
}

// Shutdown refuses new clients and requests, lets those accepted finish until
// ctx ends, then closes the endpoint. It returns ctx's error if it had to cut
// work off. If a handler or completion holds a loop by then, Shutdown does not
// wait for it: the error matches [ErrLoopHeld], and the endpoint closes when the
// loop is free. On a loop of the endpoint it does nothing but return [ErrOnLoop].
func (e *Endpoint) Shutdown(ctx context.Context) error {
	if e.here() {
		return ErrOnLoop
	}
	for _, l := range e.loops {
		l.post(message{do: func() {
			l.draining = true
			l.engine.Drain()
		}})
	}
	for _, l := range e.loops {
		select {
		case <-l.done:
		case <-ctx.Done():
			held, cancel := context.WithTimeoutCause(context.Background(), patience, ErrLoopHeld)
			defer cancel()
			return errors.Join(context.Cause(ctx), e.close(held))
		}
	}
	return e.Close()
}

// Close ends the endpoint at once: calls under way fail, peers are told, the
// transport is released. Closing twice is no error. It waits for the loops, and
// so for a handler that holds one. Called on a loop of the endpoint itself, by a
// handler or completion, it returns nil at once, and the endpoint closes when
// that has returned.
func (e *Endpoint) Close() error { return e.close(context.Background()) }

// close waits for the loops until ctx ends.
func (e *Endpoint) close(ctx context.Context) error {
	for _, l := range e.loops {
		l.post(message{do: func() { l.stopping = true }})
	}
	if e.here() {
		return nil
	}
	var errs []error
	for _, l := range e.loops {
		select {
		case <-l.done:
			errs = append(errs, l.err)
		case <-ctx.Done():
			return errors.Join(append(errs, context.Cause(ctx))...)
		}
	}
	return errors.Join(errs...)
}
