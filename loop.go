package peregrine

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
	"github.com/peregrine-rpc/peregrine/transport"
)

// loop is the goroutine that owns an engine. Others reach it through its inbox.
type loop struct {
	engine *core.Endpoint
	tr     transport.Transport
	poll   Poll
	cpu    int // -1: not pinned
	epoch  time.Time
	log    *zap.Logger

	inbox inbox
	// asleep is set while the loop is about to wait or waits, and whoever posts
	// then has to wake it.
	asleep atomic.Bool

	// Owned by the loop:
	draining bool
	stopping bool

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

// inbox is a queue from any goroutine to the loop.
type inbox struct {
	sync.Mutex
	messages []message
	closed   bool
	length   atomic.Int32 // of messages, so that an empty inbox costs no lock
}

// message is one thing to do on the loop: a call to start, an answer to give,
// or anything else.
type message struct {
	session *core.Session
	call    *core.Call
	answer  *answer
	do      func()
}

// post hands m to the loop; false means that the loop has ended.
func (l *loop) post(m message) bool {
	l.inbox.Lock()
	if l.inbox.closed {
		l.inbox.Unlock()
		return false
	}
	l.inbox.messages = append(l.inbox.messages, m)
	l.inbox.length.Store(int32(len(l.inbox.messages)))
	l.inbox.Unlock()
	if l.asleep.Load() && l.asleep.CompareAndSwap(true, false) {
		l.tr.Wake()
	}
	return true
}

// ask runs f on the loop and waits for it; false means that the loop has ended.
func (l *loop) ask(f func()) bool {
	ready := make(chan struct{})
	if !l.post(message{do: func() { f(); close(ready) }}) {
		<-l.done
		return false
	}
	<-ready
	return true
}

func (l *loop) now() time.Duration { return time.Since(l.epoch) }

// handle sets a method's handler in the engine.
func (l *loop) handle(method uint16, h Handler) {
	if h == nil {
		l.engine.Handle(method, nil)
		return
	}
	l.engine.Handle(method, func(r *core.Request) { h(Request{request: r, loop: l}) })
}

// run is the loop.
func (l *loop) run() {
	defer close(l.done)
	pinned := false
	if l.cpu >= 0 {
		undo, err := affinity.Pin(l.cpu)
		if err != nil {
			l.log.Warn("loop is not pinned", zap.Int("cpu", l.cpu), zap.Error(err))
		} else {
			pinned = true
			defer undo()
		}
	}
	var spare []message
	idle := idleness{worked: l.now(), luck: maxLuck}
	for !l.stopping {
		l.engine.Fetch()
		now := l.now()
		began := now
		idle.look(began)
		l.engine.Advance(now)
		posted := l.inbox.length.Load() > 0
		if posted {
			spare = l.drain(spare)
			now = l.now()
		}
		received := l.engine.Receive(now)
		if received {
			now = l.now()
		}
		sent, err := l.engine.Flush(now)
		if err != nil {
			l.log.Error("transport failed; endpoint closes", zap.Error(err))
			l.err = err
			break
		}
		if l.draining && l.engine.Drained() {
			break
		}
		busy := received || sent || posted
		if busy {
			idle.work(began, now)
		}
		blocks := !busy && (l.poll == Block || l.poll == Adaptive && !idle.spin(now))
		if blocks || now-l.stats.at >= publishEvery {
			l.publish(now)
		}
		if !blocks {
			if !pinned {
				// Let goroutines that wait for this loop's completions run. A
				// pinned loop has its thread to itself, and giving it up is dear.
				runtime.Gosched()
			}
			continue
		}
		l.wait()
	}
	l.finish(spare)
}

// wait blocks until there is work.
func (l *loop) wait() {
	l.asleep.Store(true)
	if l.inbox.length.Load() == 0 {
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

// drain does what was posted. spare is memory for the next inbox.
func (l *loop) drain(spare []message) []message {
	l.inbox.Lock()
	messages := l.inbox.messages
	l.inbox.messages = spare[:0]
	l.inbox.length.Store(0)
	l.inbox.Unlock()
	for i := range messages {
		switch m := &messages[i]; {
		case m.call != nil:
			m.session.Submit(m.call)
		case m.answer != nil:
			m.answer.give()
		default:
			m.do()
		}
	}
	clear(messages)
	return messages
}

// finish closes the engine. What is posted from now on is refused, what was
// posted before fails with the engine.
func (l *loop) finish(spare []message) {
	l.inbox.Lock()
	l.inbox.closed = true
	l.inbox.Unlock()
	l.drain(spare)
	err := l.engine.Close()
	if l.err == nil {
		l.err = err
	}
	l.publish(l.now())
}
