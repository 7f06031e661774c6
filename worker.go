package peregrine

import (
	"math/bits"
	"runtime"
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/internal/goroutine"
)

// worker is a goroutine of a pool with its queue, which any loop puts tasks in: a ring, as
// an inbox is, with room for the task that runs and depth that wait. A task costs a loop a
// compare-and-swap and a store; only a worker that sleeps has to be woken.
type worker struct {
	tail atomic.Uint64 // number of the next task; closedInbox: no more come
	_    [56]byte      // loops write what is above

	limit atomic.Uint64 // first number that there is no room for
	next  uint64        // number of the first task that did not begin; for the worker alone
	_     [48]byte

	cells  []taskCell // a power of two of them
	depth  uint64
	self   atomic.Uintptr // its goroutine
	asleep atomic.Bool    // it waits for wake, or is about to
	wake   chan struct{}
}

// taskCell holds task n, for n modulo the ring's length. Its turn is n+1 once it is there.
type taskCell struct {
	turn atomic.Uint64
	task task
}

type task struct {
	request *deferred
	handler Handler
}

func newWorker(depth int) *worker {
	w := &worker{
		cells: make([]taskCell, 1<<bits.Len(uint(depth))),
		depth: uint64(depth),
		wake:  make(chan struct{}, 1),
	}
	w.limit.Store(w.depth + 1)
	return w
}

// put queues t. It may be full, or closed.
func (w *worker) put(t task) (took, closed bool) {
	for {
		n := w.tail.Load()
		switch {
		case n&closedInbox != 0:
			return false, true
		case n >= w.limit.Load():
			return false, false
		}
		if w.tail.CompareAndSwap(n, n+1) {
			c := w.cell(n)
			c.task = t
			c.turn.Store(n + 1)
			w.rouse()
			return true, false
		}
	}
}

func (w *worker) cell(n uint64) *taskCell { return &w.cells[n&uint64(len(w.cells)-1)] }

func (w *worker) rouse() {
	if w.asleep.Load() && w.asleep.CompareAndSwap(true, false) {
		w.wake <- struct{}{}
	}
}

// close has put refuse what comes from now on.
func (w *worker) close() {
	w.tail.Or(closedInbox)
	w.rouse()
}

// queued is how many tasks wait behind the one that runs.
func (w *worker) queued() int {
	begun := w.limit.Load() - w.depth // before tail, which is never behind
	return max(0, int(w.tail.Load()&^closedInbox-begun))
}

// work does tasks until the worker is closed and there are none. It may be called again
// where a task ended the goroutine.
func (w *worker) work() {
	w.self.Store(uintptr(goroutine.Self()))
	defer w.self.Store(0) // the goroutine's ID may be another's soon
	for {
		w.limit.Store(w.next + w.depth + 1) // what ran is over
		c := w.cell(w.next)
		if c.turn.Load() != w.next+1 {
			if !w.await() {
				return
			}
			continue
		}
		t := c.task
		c.task = task{}
		w.next++
		t.request.run(t.handler)
	}
}

// await waits until there may be a task. False: there is none, and none will come.
func (w *worker) await() bool {
	w.asleep.Store(true)
	switch w.tail.Load() {
	case w.next:
		<-w.wake
		return true
	case w.next | closedInbox:
		return false
	}
	// One came meanwhile, or is about to be in its cell.
	if !w.asleep.CompareAndSwap(true, false) {
		<-w.wake
	} else {
		runtime.Gosched()
	}
	return true
}
