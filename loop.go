package peregrine

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
	"github.com/peregrine-rpc/peregrine/internal/goroutine"
	"github.com/peregrine-rpc/peregrine/transport"
)

// loop is the goroutine that owns an engine. Others reach it through its inbox.
type loop struct {
	endpoint *Endpoint
	engine   *core.Endpoint
	tr       transport.Transport
	poll     Poll
	cpu      int // -1: not pinned
	epoch    time.Time
	log      *zap.Logger

	inbox inbox
	// asleep is set while the loop is about to wait or waits, and whoever posts
	// then has to wake it.
	asleep atomic.Bool
	// self is the loop's goroutine; 0 while there is none.
	self atomic.Uintptr

	// Owned by the loop:
	handlers map[uint16]Handler
	serving  handle      // of the request whose inline handler runs
	deferred *deferred   // of that one, if it needs one
	records  []*deferred // for requests that leave
	crew     crew
	taken    []message // of the inbox's crowd
	next     int       // of taken, to do
	idle     idleness
	pinned   bool
	occupied occupancy
	meter    *meter // nil without WithMetrics
	born     time.Duration
	recorder *core.Recorder // nil without WithFlightRecorder
	draining bool
	stopping bool
	poisons  bool // as core.Config.Poison
	over     bool // finished
	exits    int  // of its goroutine, by what runs on it

	stats published

	done chan struct{} // closed when the loop has ended
	err  error         // valid once done
}

// published are the counters as of a short while ago, for any goroutine.
type published struct {
	sync.Mutex
	core.Stats
	at time.Duration
}

// publishEvery is how old the counters of a busy loop may become.
const publishEvery = time.Millisecond

func (l *loop) publish(now time.Duration) {
	l.stats.Lock()
	l.stats.Stats = l.engine.Stats()
	l.stats.Unlock()
	l.stats.at = now
}

func (l *loop) now() time.Duration { return time.Since(l.epoch) }

// run is the loop.
func (l *loop) run() {
	l.self.Store(uintptr(goroutine.Self()))
	undo := l.pin()
	defer func() {
		l.self.Store(0) // the goroutine's ID may be another's soon
		undo()
		switch {
		case l.over:
		case l.exits == maxExits:
			l.exits = 0
			go l.run()
			return
		default:
			return // a completion panicked, and the process crashes
		}
		running.Delete(l)
		close(l.done)
		if l.err != nil {
			go l.endpoint.Close() // a loop that failed takes the whole endpoint along
		}
	}()
	for !l.turns() {
	}
}

// pin puts the loop on its CPU, if it has one.
func (l *loop) pin() (undo func()) {
	l.pinned = false
	if l.cpu < 0 {
		return func() {}
	}
	unpin, err := affinity.Pin(l.cpu)
	if err != nil {
		l.log.Warn("loop is not pinned", zap.Int("cpu", l.cpu), zap.Error(err))
		return func() {}
	}
	l.pinned = true
	release, err := transport.BindThread(l.tr)
	if err != nil {
		l.log.Warn("transport is not bound to the loop's thread, which makes it slower", zap.Error(err))
	}
	return func() {
		release()
		unpin()
	}
}

// turn does what there is to do, and waits if there is nothing. last says that
// the loop is to end.
func (l *loop) turn() (last bool) {
	l.engine.Fetch()
	now := l.now()
	began := now
	l.idle.look(began)
	l.occupied.begin(began)
	l.engine.Advance(now)
	posted := l.posted()
	if posted {
		l.drain()
		now = l.now()
	}
	received := l.engine.Receive(now)
	if received {
		now = l.now()
	}
	if l.meter != nil {
		l.meter.turned(now)
	}
	sent, err := l.engine.Flush(now)
	if err != nil {
		l.log.Error("transport failed; endpoint closes", zap.Error(err))
		l.err, l.stopping = err, true
	}
	if l.stopping || l.draining && l.engine.Drained() {
		return true
	}
	busy := received || sent || posted
	if busy {
		l.idle.work(began, now)
		l.occupied.work(began, now)
	}
	blocks := !busy && (l.poll == Block || l.poll == Adaptive && !l.idle.spin(now))
	if blocks || now-l.stats.at >= publishEvery {
		l.publish(now)
	}
	if l.crew.look(blocks) {
		blocks = false // those that begin may have to run where this loop does
	}
	if blocks {
		l.wait()
	} else if !l.pinned {
		// Let goroutines that wait for this loop's completions run. A pinned loop
		// has its thread to itself, and giving it up is dear.
		runtime.Gosched()
	}
	return false
}

// wait blocks until there is work.
func (l *loop) wait() {
	if l.dozes(func() bool { return l.inbox.length() == 0 }) {
		timeout := time.Duration(-1)
		if at, ok := l.engine.NextDeadline(); ok {
			timeout = max(0, at-l.now())
		}
		if timeout != 0 {
			if err := l.tr.Wait(timeout); err != nil {
				l.log.Debug("wait", zap.Error(err))
			}
		}
	}
	l.asleep.Store(false)
}

// dozes announces that the loop is about to wait, and only then looks whether
// there is nothing to do: what is posted from the look on wakes it.
func (l *loop) dozes(nothing func() bool) bool {
	l.asleep.Store(true)
	return nothing()
}

// posted says whether there is something to do for drain.
func (l *loop) posted() bool { return l.inbox.length() > 0 }

// drain does what was posted. What is left when a function ends the goroutine is
// done when the loop goes on.
func (l *loop) drain() {
	b := &l.inbox
	if l.next == len(l.taken) && b.crowds.Load() > 0 {
		l.next = 0
		l.taken = b.crowd.takeAll(l.taken[:0])
	}
	// The crowd, as of before, came later than all that is in the ring.
	for end := b.claim(); b.next != end; {
		m, ok := b.take()
		if !ok {
			b.settle()
			return
		}
		l.do(m)
		*m = message{} // or it keeps what it led to
	}
	b.settle()
	for l.next < len(l.taken) {
		m := l.taken[l.next]
		l.taken[l.next] = message{}
		l.next++
		b.crowds.Add(-1)
		l.do(&m)
	}
}

func (l *loop) do(m *message) {
	switch {
	case m.call != nil:
		m.session.Submit(m.call)
	case m.answer != nil:
		m.answer.give()
	case m.do != nil:
		m.do()
	case m.void != nil:
		m.void.Err = &Error{Code: Canceled, Message: "canceled by the caller"}
		m.void.Done(m.void)
	}
}

// finish closes the engine. What is posted from now on is refused, what was
// posted before fails with the engine.
func (l *loop) finish() {
	l.stopping = true
	l.inbox.close()
	for l.posted() {
		l.drain()
	}
	if err := l.engine.Close(); l.err == nil {
		l.err = err
	}
	l.crew.close()
	l.publish(l.now())
	l.over = true
}
