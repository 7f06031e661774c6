package peregrine

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/internal/goroutine"
)

// Pool is a fixed set of workers, each a goroutine with a bounded queue, to
// which methods delegate their requests. Several methods and endpoints may
// share one. NewPool makes them; methods of the zero Pool are refused.
type Pool struct {
	workers []*worker
	err     error // what is wrong with it

	closing sync.RWMutex // for those that delegate, against Close
	closed  bool
	done    sync.WaitGroup
}

type worker struct {
	queue chan task
	self  atomic.Uintptr // its goroutine
}

type task struct {
	request *deferred
	handler Handler
}

// NewPool starts workers, at least one, with queues of depth requests each; 0
// takes a request only when a worker waits for it. A pool of other numbers has
// no workers, and methods that are to use it are refused with the reason.
func NewPool(workers, depth int) *Pool {
	if workers < 1 || depth < 0 {
		return &Pool{err: &ConfigError{
			Key: "pool", Problem: fmt.Sprintf("NewPool(%d, %d): give at least 1 worker, and a depth of 0 or more", workers, depth),
		}}
	}
	p := &Pool{}
	for range workers {
		w := &worker{queue: make(chan task, depth)}
		p.workers = append(p.workers, w)
		p.done.Go(func() { p.work(w) })
	}
	return p
}

// work runs what is queued. Where a handler ends the goroutine another takes
// over.
func (p *Pool) work(w *worker) {
	w.self.Store(uintptr(goroutine.Self()))
	finished := false
	defer func() {
		w.self.Store(0)
		if !finished {
			p.done.Go(func() { p.work(w) })
		}
	}()
	for t := range w.queue {
		t.request.run(t.handler)
	}
	finished = true
}

// Close lets the workers finish what is queued and waits for them. Requests that
// come later fail with Unavailable. Called on a worker of the pool, or on a loop,
// which a worker may wait for, it returns at once, and the workers end when they
// have finished.
func (p *Pool) Close() error {
	p.closing.Lock()
	if !p.closed {
		p.closed = true
		for _, w := range p.workers {
			close(w.queue)
		}
	}
	p.closing.Unlock()
	self := uintptr(goroutine.Self())
	for _, w := range p.workers {
		if w.self.Load() == self {
			return nil
		}
	}
	if onLoop() {
		return nil
	}
	p.done.Wait()
	return nil
}

// Depth is how many requests wait in the queues, and how many may.
func (p *Pool) Depth() (queued, capacity int) {
	for _, w := range p.workers {
		queued += len(w.queue)
		capacity += cap(w.queue)
	}
	return queued, capacity
}

// check says why p cannot be used.
func (p *Pool) check() error {
	switch {
	case p == nil:
		return &ConfigError{Key: "pool", Problem: "it is nil: make one with NewPool"}
	case p.err == nil && len(p.workers) == 0:
		return &ConfigError{Key: "pool", Problem: "it is a zero value: make it with NewPool"}
	}
	return p.err
}

// delegate queues r for one of n workers from first on, or fails it with busy.
func (p *Pool) delegate(r *deferred, h Handler, first, n uint64, busy string) {
	p.closing.RLock()
	defer p.closing.RUnlock()
	if p.closed {
		r.answer(r.serial, Unavailable, []byte("the workers of this method have ended"), nil)
		return
	}
	for i := range n {
		select {
		case p.workers[(first+i)%uint64(len(p.workers))].queue <- task{r, h}:
			return
		default:
		}
	}
	r.answer(r.serial, ResourceExhausted, []byte(busy), nil)
}

// delegated is a HandleOption with which start hands requests to p.
func delegated(p *Pool, start func(r *deferred, h Handler)) HandleOption {
	err := p.check()
	return func(at *placement) {
		*at = placement{err: err, wrap: func(h Handler) Handler {
			return func(r Request) { start(r.leave(), h) }
		}}
	}
}

// Pooled runs the handler on whichever worker of p has room, the next in turn
// first. With all queues full requests fail with ResourceExhausted.
func Pooled(p *Pool) HandleOption {
	return delegated(p, func(r *deferred, h Handler) {
		p.delegate(r, h, r.serial, uint64(len(p.workers)), "all workers are busy")
	})
}

// Partition runs the handler on the worker of p that key picks, so that
// requests of one key run one after the other, in the order received, and need
// no locks. With that worker's queue full they fail with ResourceExhausted.
//
// key runs on the loop and must not block. data is what the client sent: it may
// be empty, or shorter than a key.
func Partition(p *Pool, key func(data []byte) uint64) HandleOption {
	if key == nil {
		return misplaced("key", "Partition needs a function that reads it from a request")
	}
	return delegated(p, func(r *deferred, h Handler) {
		p.delegate(r, h, key(r.data), 1, "the worker of this key is busy")
	})
}
