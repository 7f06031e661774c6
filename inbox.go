package peregrine

import (
	"sync"
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/core"
)

// inbox is a queue from any goroutine to the loop.
type inbox struct {
	sync.Mutex
	messages []message
	rounds   uint64 // how often the loop has taken them
	closed   bool
	length   atomic.Int32 // of messages, so that an empty inbox costs no lock
}

// message is one thing to do on the loop: a call to start, an answer to give, or
// anything else. One that was taken back is nothing.
type message struct {
	session *core.Session
	call    *core.Call
	answer  *deferred
	do      func()
}

// place is where a message lies in an inbox.
type place struct {
	round uint64
	index int
}

// put appends m; false means that the inbox is closed.
func (b *inbox) put(m message) (at place, ok bool) {
	b.Lock()
	if b.closed {
		b.Unlock()
		return place{}, false
	}
	at = place{b.rounds, len(b.messages)}
	b.messages = append(b.messages, m)
	b.length.Store(int32(len(b.messages)))
	b.Unlock()
	return at, true
}

// takeBack makes nothing of a message that the loop has not taken; false: it has.
func (b *inbox) takeBack(at place) bool {
	b.Lock()
	defer b.Unlock()
	if at.round != b.rounds {
		return false
	}
	b.messages[at.index] = message{}
	return true
}

// takeAll returns all messages. The next come into spare.
func (b *inbox) takeAll(spare []message) []message {
	b.Lock()
	all := b.messages
	b.messages = spare
	b.rounds++
	b.length.Store(0)
	b.Unlock()
	return all
}

// close has put refuse what comes from now on.
func (b *inbox) close() {
	b.Lock()
	b.closed = true
	b.Unlock()
}

// post hands m to the loop; false means that the loop has ended.
func (l *loop) post(m message) bool {
	_, ok := l.inbox.put(m)
	if ok {
		l.rouse()
	}
	return ok
}

// rouse has the loop look at its inbox.
func (l *loop) rouse() {
	if l.asleep.Load() && l.asleep.CompareAndSwap(true, false) {
		l.tr.Wake()
	}
}
