package conformance

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// load is a number of calls of all sizes between a client and a service, so
// many at a time, each checked: the reply is what the service made for it, it
// completes once, and is executed at most once. The fields below are the
// client's loop's.
type load struct {
	client   *host
	service  *service
	sessions []*core.Session
	calls    int     // in all
	together int     // at a time
	longest  int     // message, in bytes
	fickle   float64 // share of calls that are given up by cancel or deadline
	doomed   bool    // calls may fail with Unavailable: an end is about to come

	number   uint32 // of the book
	rand     *rand.Rand
	outcomes []outcome // by index
	next     int
	running  int
	over     chan struct{}
}

// outcome is how a call ended.
type outcome uint8

const (
	unsettled outcome = iota
	succeeded
	unknown     // failed, and may have executed
	notExecuted // failed
)

// books counts loads.
var books atomic.Uint32

// begin starts the load.
func (l *load) begin() {
	l.client.s.Helper()
	l.number = books.Add(1)
	l.rand = rand.New(rand.NewPCG(l.client.s.rand.Uint64(), 0))
	l.outcomes = make([]outcome, l.calls)
	l.next, l.running, l.over = 0, 0, make(chan struct{})
	l.service.do(func() { l.service.books[l.number] = make(book, l.calls) })
	l.client.do(func() {
		for range min(l.together, l.calls) {
			l.running++
			c := &caller{load: l}
			c.call.Done = c.done
			c.submit()
		}
	})
}

// run begins the load, waits for its end and checks its book.
func (l *load) run() {
	l.client.s.Helper()
	l.begin()
	l.wait()
	l.check()
}

// wait returns when every call has completed.
func (l *load) wait() {
	l.client.s.Helper()
	for before := 0; ; {
		select {
		case <-l.over:
			return
		case <-time.After(patience):
		}
		var completed, running int
		l.client.do(func() { completed, running = l.next-l.running, l.running })
		if completed == before {
			l.client.s.Fatalf("%d of %d calls are under way, and none completed in %v\nclient %+v\nserver %+v",
				running, l.calls, patience, l.client.stats(), l.service.stats())
		}
		before = completed
	}
}

// check compares what the client was told with what the service did.
func (l *load) check() {
	l.client.s.Helper()
	l.service.idle()
	l.service.do(func() {
		for i, times := range l.service.books[l.number][:l.next] {
			switch o := l.outcomes[i]; {
			case o == unsettled:
				l.client.wrong("call %d never completed", i)
			case o == succeeded && times != 1:
				l.client.wrong("call %d succeeded and was executed %d times", i, times)
			case o == notExecuted && times != 0:
				l.client.wrong("call %d was said not to have executed, and was executed %d times", i, times)
			}
		}
	})
}

// drop closes the book: none of the load may arrive from here on.
func (l *load) drop() {
	l.client.s.Helper()
	l.service.do(func() { delete(l.service.books, l.number) })
}

// caller makes one call after the other.
type caller struct {
	load    *load
	call    core.Call
	session *core.Session
	index   int
	order   order
	fickle  bool
	pending bool
	request []byte
	buffer  []byte
}

// submit starts the next call, if any is left.
func (c *caller) submit() {
	l := c.load
	if l.next == l.calls {
		if l.running--; l.running == 0 {
			close(l.over)
		}
		return
	}
	c.index = l.next
	l.next++
	c.session = l.sessions[l.rand.IntN(len(l.sessions))]
	c.order = order{
		id:    uint64(l.number)<<32 | uint64(c.index),
		reply: uint32(l.size()),
		later: l.rand.IntN(4) == 0,
	}
	c.request = resized(c.request, orderSize+l.size())
	c.order.put(c.request)
	c.call.Method, c.call.Request = work, c.request
	c.call.Buf, c.call.Timeout = nil, 0
	if l.rand.IntN(2) == 0 {
		c.buffer = resized(c.buffer, int(c.order.reply))
		c.call.Buf = c.buffer
	}
	c.fickle = l.rand.Float64() < l.fickle
	c.pending = true
	if c.fickle && l.rand.IntN(2) == 0 {
		c.call.Timeout = time.Duration(1 + l.rand.Int64N(int64(2*time.Millisecond)))
	}
	c.session.Submit(&c.call)
	if c.fickle && c.call.Timeout == 0 {
		index := c.index
		l.client.post(func() {
			if c.pending && c.index == index {
				c.session.Cancel(&c.call)
			}
		})
	}
}

// size is mostly of a packet or less, and sometimes of many.
func (l *load) size() int {
	switch l.rand.IntN(8) {
	case 0:
		return l.rand.IntN(l.longest + 1)
	case 1, 2:
		return l.rand.IntN(min(l.longest, 4096) + 1)
	}
	return l.rand.IntN(min(l.longest, 256) + 1)
}

// done is the completion of a call.
func (c *caller) done(call *core.Call) {
	l := c.load
	if !c.pending {
		l.client.wrong("call %d completed twice", c.index)
		return
	}
	c.pending = false
	l.outcomes[c.index] = c.check(call)
	scrawl(c.request)
	scrawl(c.buffer)
	c.submit()
}

func (c *caller) check(call *core.Call) outcome {
	l := c.load
	var failure *core.Error
	switch {
	case call.Err == nil:
		if len(call.Response) != int(c.order.reply) || !filled(call.Response, ^c.order.id) {
			l.client.wrong("call %d has a reply of %d bytes that is not the service's, which has %d", c.index, len(call.Response), c.order.reply)
		}
		return succeeded
	case !errors.As(call.Err, &failure):
		l.client.wrong("call %d failed with %T, not *core.Error: %v", c.index, call.Err, call.Err)
		return unknown
	case c.fickle && (failure.Code == core.Canceled || failure.Code == core.DeadlineExceeded):
	case l.doomed && failure.Code == core.Unavailable:
	default:
		l.client.wrong("call %d: %v", c.index, failure)
	}
	if failure.MayHaveExecuted {
		return unknown
	}
	return notExecuted
}

// resized returns n bytes, those of b if it has as many.
func resized(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
