package peregrine

import "sync"

// crew are the goroutines that a loop's handlers of [Go] run on. They take requests from
// one queue, so that a burst of short handlers costs the waking of one goroutine, and no
// stack grows anew. A handler that takes its time does not keep what is behind it
// waiting: where a turn of the loop finds that nothing was taken since the last one,
// another goroutine begins; and before the loop sleeps there is one for each request.
type crew struct {
	mu     sync.Mutex
	queue  []errand
	first  int // of queue that waits
	idle   []*hand
	active int    // goroutines that are not idle
	coming int    // of those, which have not looked at the queue yet
	taken  uint64 // errands, ever
	closed bool

	// For the loop alone:
	waits bool   // there may be something in the queue
	seen  uint64 // taken, in the turn before
}

// errand is a request for a handler off the loop, and what is done when that is over.
type errand struct {
	request *deferred
	handler Handler
	over    func()
}

// hand is a goroutine of a crew.
type hand struct{ wake chan struct{} }

// maxIdle is how many goroutines a crew keeps that have nothing to do.
const maxIdle = 16

// add queues e, on the loop.
func (c *crew) add(e errand) {
	c.waits = true
	c.mu.Lock()
	if len(c.queue) == cap(c.queue) && c.first > len(c.queue)/2 {
		// A queue that never is empty grows no longer than twice what waits.
		left := copy(c.queue, c.queue[c.first:])
		clear(c.queue[left:])
		c.queue, c.first = c.queue[:left], 0
	}
	c.queue = append(c.queue, e)
	if c.active == 0 {
		c.rouse()
	}
	c.mu.Unlock()
}

// look has another goroutine begin if those that are at work do not get on; or, where the
// loop is to sleep, one for each errand. It says whether one began.
func (c *crew) look(sleeps bool) (began bool) {
	if !c.waits {
		return false
	}
	c.mu.Lock()
	n := max(0, len(c.queue)-c.first-c.coming)
	switch {
	case sleeps:
	case c.taken == c.seen:
		n = min(n, 1)
	default:
		n = 0
	}
	c.waits = len(c.queue) > c.first && !sleeps
	c.seen = c.taken
	for range n {
		c.rouse()
	}
	c.mu.Unlock()
	return n > 0
}

// rouse has one more goroutine begin. c.mu is held.
func (c *crew) rouse() {
	c.active++
	c.coming++
	if n := len(c.idle) - 1; n >= 0 {
		h := c.idle[n]
		c.idle[n] = nil
		c.idle = c.idle[:n]
		h.wake <- struct{}{}
		return
	}
	go c.work(&hand{make(chan struct{}, 1)})
}

// work does errands until there are enough goroutines that wait for some. Where a handler
// ends the goroutine another takes over.
func (c *crew) work(h *hand) {
	finished := false
	defer func() {
		if !finished {
			c.mu.Lock()
			c.coming++
			c.mu.Unlock()
			go c.work(h)
		}
	}()
	for begins := true; ; {
		c.mu.Lock()
		if begins {
			begins = false
			c.coming--
		}
		if c.first == len(c.queue) {
			c.active--
			enough := c.closed || len(c.idle) >= maxIdle
			if !enough {
				c.idle = append(c.idle, h)
			}
			c.mu.Unlock()
			if enough {
				break
			}
			if _, begins = <-h.wake; !begins {
				break
			}
			continue
		}
		e := c.take()
		c.mu.Unlock()
		e.do()
	}
	finished = true
}

// take is the oldest errand. c.mu is held.
func (c *crew) take() errand {
	e := c.queue[c.first]
	c.queue[c.first] = errand{}
	c.taken++
	if c.first++; c.first == len(c.queue) {
		c.queue, c.first = c.queue[:0], 0
	}
	return e
}

func (e *errand) do() {
	defer e.over()
	e.request.run(e.handler)
}

// close lets the goroutines go, once they have done what is queued.
func (c *crew) close() {
	c.look(true)
	c.mu.Lock()
	c.closed = true
	for _, h := range c.idle {
		close(h.wake)
	}
	c.idle = nil
	c.mu.Unlock()
}
