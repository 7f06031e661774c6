package peregrine

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// errandOf is a task that runs f.
func errandOf(f func()) task {
	e := job(f)
	return task{e.request, e.handler}
}

// A worker takes one task to run and as many as its depth to wait, and no more until the
// one that runs is over; it does them in order.
func TestAWorkerTakesWhatItHasRoomFor(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{0, 1, 2, 3, 64} {
		w := newWorker(depth)
		var order []int
		begun, hold := make(chan bool), make(chan bool)
		put := func(i int) bool {
			took, closed := w.put(errandOf(func() {
				order = append(order, i)
				if i == 0 {
					close(begun)
					<-hold
				}
			}))
			require.False(t, closed)
			return took
		}
		var working sync.WaitGroup
		working.Go(w.work)
		require.True(t, put(0))
		<-begun
		for i := range depth {
			require.True(t, put(i+1))
		}
		require.False(t, put(depth+1))
		require.Equal(t, depth, w.queued())
		close(hold)
		w.close()
		working.Wait()
		require.Len(t, order, depth+1)
		for i, n := range order {
			require.Equal(t, i, n)
		}
		_, closed := w.put(task{})
		require.True(t, closed)
	}
}

// Several loops give a worker far more than it has room for, some of which ends its
// goroutine: what it took is done once, also while it closes, and it sleeps in between.
func TestAWorkerDoesWhatItTookOnce(t *testing.T) {
	t.Parallel()
	const loops, each = 4, 2000
	w := newWorker(8)
	var took, done atomic.Int64
	var posting, working sync.WaitGroup
	var work func()
	work = func() {
		finished := false
		defer func() {
			if !finished {
				working.Go(work)
			}
		}()
		w.work()
		finished = true
	}
	working.Go(work)
	for i := range loops {
		posting.Go(func() {
			for k := range each {
				if i == 0 && k == each-1 {
					w.close() // while others go on
				}
				if ok, _ := w.put(errandOf(func() {
					if done.Add(1)%100 == 50 {
						runtime.Goexit()
					}
				})); ok {
					took.Add(1)
				} else {
					runtime.Gosched()
				}
			}
		})
	}
	posting.Wait()
	working.Wait()
	require.Equal(t, took.Load(), done.Load())
}
