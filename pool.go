package peregrine

import (
	"fmt"
	"sync"

	"github.com/peregrine-rpc/peregrine/internal/goroutine"
)

// Pool is a fixed set of workers, each a goroutine with a bounded queue, to
// which methods delegate their requests. Several methods and endpoints may
// share one. NewPool makes them; methods of the zero Pool are refused.
type Pool struct {
	workers []*worker
	err     error // what is wrong with it
	done    sync.WaitGroup
}

// NewPool starts workers, at least one, with queues of depth requests each; 0
// takes a request only when a worker has nothing to do. A pool of other numbers has
// no workers, and methods that are to use it are refused with the reason.
func NewPool(workers, depth int) *Pool {
	if workers < 1 || depth < 0 {
		return &Pool{err: &ConfigError{
			Key: "pool", Problem: fmt.Sprintf("NewPool(%d, %d): give at least 1 worker, and a depth of 0 or more", workers, depth),
		}}
	}
	p := &Pool{}
	for range workers {
		w := newWorker(depth)
		p.workers = append(p.workers, w)
		p.done.Go(func() { p.work(w) })
	}
	return p
}

// work does what w is given. Where a handler ends the goroutine another takes over.
func (p *Pool) work(w *worker) {
	finished := false
	defer func() {
		if !finished {
			p.done.Go(func() { p.work(w) })
		}
	}()
	w.work()
	finished = true
}

// Close lets the workers finish what is queued and waits for them. Requests that
// come later fail with Unavailable. Called on a worker of the pool, or on a loop,
// which a worker may wait for, it returns at once, and the workers end when they
// have finished.
func (p *Pool) Close() error {
	for _, w := range p.workers {
		w.close()
	}
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
		queued += w.queued()
		capacity += int(w.depth)
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
	for i := range n {
		switch took, closed := p.workers[(first+i)%uint64(len(p.workers))].put(task{r, h}); {
		case closed:
			r.answer(r.serial, Unavailable, []byte("the workers of this method have ended"), nil)
			return
		case took:
			return
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
