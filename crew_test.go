package peregrine

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// job is an errand that runs f.
func job(f func()) errand {
	d := &deferred{handle: handle{loop: &loop{endpoint: &Endpoint{}}}}
	d.handle.loop.endpoint.mishaps.log = zap.NewNop()
	d.state.Store(stateAnswered)
	return errand{d, func(Request) { f() }, func() {}}
}

// A burst of errands that do not block costs one goroutine, and they are done in order.
func TestACrewDoesABurstByOneGoroutine(t *testing.T) {
	t.Parallel()
	var c crew
	const many = 100
	var order []int
	done := make(chan bool)
	c.mu.Lock() // it begins when all are queued
	for i := range many {
		c.queue = append(c.queue, job(func() {
			if order = append(order, i); i == many-1 {
				close(done)
			}
		}))
	}
	c.waits = true
	c.rouse()
	c.mu.Unlock()
	<-done
	for i := range order {
		require.Equal(t, i, order[i])
	}
	c.close()
}

// Errands that wait for one another all begin, whether the loop turns or sleeps.
func TestErrandsOfACrewMayWaitForOneAnother(t *testing.T) {
	t.Parallel()
	for _, sleeps := range []bool{false, true} {
		var c crew
		const many = 100
		var begun, ended sync.WaitGroup
		begun.Add(many)
		ended.Add(many)
		for range many {
			c.add(job(func() {
				begun.Done()
				begun.Wait()
				ended.Done()
			}))
		}
		finished := make(chan bool)
		go func() {
			ended.Wait()
			close(finished)
		}()
		if sleeps {
			c.look(true)
			<-finished
		}
		for over := sleeps; !over; {
			c.look(false)
			select {
			case <-finished:
				over = true
			default:
				runtime.Gosched()
			}
		}
		c.close()
	}
}

// A handler that ends its goroutine does not end the crew's.
func TestACrewOutlivesGoexit(t *testing.T) {
	t.Parallel()
	var c crew
	done := make(chan bool)
	c.add(job(runtime.Goexit))
	c.add(job(func() { close(done) }))
	c.look(true)
	<-done
	c.close()
}

// A crew that always has something to do remembers no more than that.
func TestTheQueueOfABusyCrewDoesNotGrow(t *testing.T) {
	t.Parallel()
	var c crew
	c.active = 1 // it is this test, which takes one for each that is added
	order, next := 0, 0
	for i := range 10_000 {
		c.add(job(func() { order = i }))
		if i >= 10 {
			e := c.take()
			e.do()
			require.Equal(t, next, order)
			next++
		}
	}
	require.Less(t, cap(c.queue), 100)
}
