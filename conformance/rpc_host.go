package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
)

// host is an endpoint and the loop that drives it, as in a program. The loop
// owns the engine; the test reaches it by do and post.
type host struct {
	s      *stage
	side   Side
	tr     *ledger
	engine *core.Endpoint
	sealed bool // its connections are
	epoch  time.Time

	mu    sync.Mutex
	inbox []func()

	turns  atomic.Uint64 // of the loop
	leave  func() error  // how the loop ends; nil: not yet
	done   chan struct{} // closed when it has
	broken error         // what the transport failed with; valid once done
	ended  error         // what leave returned; valid once done
}

// setup is how a host differs from others.
type setup struct {
	core.Config
	faults transport.Faults
	addr   netip.AddrPort // to listen at; zero: any
}

// start opens a host on one side and starts its loop. It is closed with the
// test.
func (s *stage) start(side Side, o setup) *host {
	s.Helper()
	h := s.open(side, o)
	go h.run()
	return h
}

// open is start without the loop.
func (s *stage) open(side Side, o setup) *host {
	s.Helper()
	tr, err := s.Open(side, o.addr)
	if err != nil {
		s.Fatalf("%v side at %v: %v", side, o.addr, err)
	}
	h := &host{s: s, side: side, tr: &ledger{Transport: tr}, done: make(chan struct{})}
	h.epoch = time.Now().Add(-time.Second) // time 0 means never to the engine
	if o.faults != (transport.Faults{}) {
		o.faults.Seed = s.rand.Uint64()
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = patience / 2 // so that a host that stalls is not taken for dead
	}
	o.ConnectTimeout = patience
	// Not by the story's chance: a server that restarts knows nothing of what it
	// was.
	binary.LittleEndian.PutUint64(o.Seed[:], births.Add(1))
	binary.LittleEndian.PutUint64(o.Seed[8:], uint64(time.Now().UnixNano()))
	if s.Configure != nil {
		s.Configure(&o.Config)
	}
	h.sealed = o.Security != nil
	h.engine, err = core.New(o.Config, transport.NewFault(h.tr, o.faults), h.now())
	if err != nil {
		tr.Close()
		s.Fatalf("%v side: %v", side, err)
	}
	s.hosts = append(s.hosts, h)
	return h
}

// births counts hosts.
var births atomic.Uint64

// addr is where the other side reaches h.
func (h *host) addr() netip.AddrPort { return dialable(h.tr) }

func (h *host) now() time.Duration { return time.Since(h.epoch) }

// run is the loop. The transport forgets no wake-up, so what post adds after
// work has looked keeps Wait from sleeping.
func (h *host) run() {
	defer close(h.done)
	for h.leave == nil {
		now := h.now()
		h.engine.Advance(now)
		worked := h.work()
		progress, err := h.engine.Poll(now)
		h.turns.Add(1)
		switch {
		case err != nil:
			h.broken = err
			h.leave = h.engine.Close
		case worked || progress:
			runtime.Gosched() // both sides may have one processor
		default:
			h.wait()
		}
	}
	h.ended = h.leave()
}

func (h *host) wait() {
	timeout := time.Duration(-1)
	if at, ok := h.engine.NextDeadline(); ok {
		timeout = max(0, at-h.now())
	}
	// What ends the transport is for Poll to say.
	_ = h.engine.Transport().Wait(timeout)
}

// work does what was posted.
func (h *host) work() bool {
	h.mu.Lock()
	inbox := h.inbox
	h.inbox = nil
	h.mu.Unlock()
	for _, f := range inbox {
		f()
	}
	return len(inbox) > 0
}

// post has f run on the loop, if it has not ended by then.
func (h *host) post(f func()) {
	h.mu.Lock()
	h.inbox = append(h.inbox, f)
	h.mu.Unlock()
	h.tr.Wake()
}

// do runs f on the loop and waits for it. The loop must not have ended.
func (h *host) do(f func()) {
	h.s.Helper()
	ready := make(chan struct{})
	h.post(func() { f(); close(ready) })
	select {
	case <-ready:
	case <-h.done:
		select {
		case <-ready: // and f ended it
		default:
			h.s.Fatalf("%v side has ended: %v", h.side, errors.Join(h.broken, h.ended))
		}
	case <-time.After(patience):
		h.s.Fatalf("%v side's loop did nothing for %v: is it inside Wait, and was a Wake lost?", h.side, patience)
	}
}

// heals ends the faults that h met.
func (h *host) heals() { h.engine.Transport().(*transport.Fault).Set(transport.Faults{}) }

// close ends the endpoint as a program does. A host that has ended stays so.
func (h *host) close() { h.end(h.engine.Close) }

// kill ends it without a word to anybody, as if its process had died.
func (h *host) kill() { h.end(h.tr.Close) }

func (h *host) end(how func() error) {
	h.s.Helper()
	h.post(func() { h.leave = how })
	select {
	case <-h.done:
	case <-time.After(patience):
		h.s.Fatalf("%v side's loop did not end in %v: is it inside Wait, and was a Wake lost?", h.side, patience)
	}
	h.s.hosts = slices.DeleteFunc(h.s.hosts, func(o *host) bool { return o == h })
	if err := errors.Join(h.broken, h.ended); err != nil && !errors.Is(err, transport.ErrClosed) {
		h.s.Errorf("%v side did not close in order: %v", h.side, err)
	}
}

func (h *host) stats() (stats core.Stats) {
	h.s.Helper()
	h.do(func() { stats = h.engine.Stats() })
	stats.Transport = h.engine.Transport().Stats()
	return stats
}

// wrong fails the test. Any goroutine may call it.
func (h *host) wrong(format string, args ...any) {
	if !h.s.Failed() { // the first fault says most
		h.s.Errorf("%v side: %s", h.side, fmt.Sprintf(format, args...))
	}
}

// idle waits until h has nothing under way as server or client and has given
// all buffers back.
func (h *host) idle() {
	h.s.Helper()
	var stats core.Stats
	var buffers string
	h.s.eventually(func() bool {
		stats = h.stats()
		h.do(func() { buffers = h.tr.outstanding() })
		return stats.CallsStarted == stats.CallsSucceeded+stats.CallsFailed &&
			stats.RequestsHeld == 0 && stats.Streams == 0 && stats.ReassemblyBytes == 0 && buffers == ""
	}, func() string { return fmt.Sprintf("%s\n%+v", buffers, stats) },
		fmt.Sprintf("the %v side had no call, request or stream under way, and no buffer of the transport", h.side))
}

// forgotten waits until server h knows no client, and holds nothing for any.
func (h *host) forgotten() {
	h.s.Helper()
	var stats core.Stats
	h.s.eventually(func() bool {
		stats = h.stats()
		return stats.Peers == 0 && stats.Sessions == 0 && stats.RequestsHeld == 0 && stats.ReassemblyBytes == 0
	}, func() string { return fmt.Sprintf("%+v", stats) },
		fmt.Sprintf("the %v side had forgotten its clients", h.side))
}
