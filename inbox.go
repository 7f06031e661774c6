package peregrine

import (
	"sync"
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/core"
)

// inbox is a queue from any goroutine to the loop, in the order in which each goroutine
// posts. It is a ring of cells, one cache line each: a message costs its poster a
// compare-and-swap and a store, and the loop neither, since it tells posters once a batch
// what it has taken, as in ffwd (Roghanchi et al., SOSP 2017). What the ring has no room
// for waits in a crowd behind a lock, and so does what is posted until that is done, so
// that nothing overtakes.
type inbox struct {
	tail  atomic.Uint64 // number of the next message in the ring; closedInbox: no more come
	limit atomic.Uint64 // first number that there is no room for
	_     [48]byte      // posters write what is above

	claimed atomic.Uint64 // the loop takes, or has taken, what is before this number
	next    uint64        // number of the first that it has not taken; for the loop alone
	_       [48]byte

	cells  [inboxCells]cell
	crowd  crowd
	crowds atomic.Int32 // messages of the crowd that are not done
}

const (
	inboxCells  = 256
	closedInbox = 1 << 63
	takenBack   = 1 << 63
)

// cell holds message n, for n modulo inboxCells. Its turn is n+1 once it is there, with
// takenBack if nobody waits for it any more.
type cell struct {
	turn    atomic.Uint64
	message message
	_       [16]byte
}

// message is one thing to do on the loop: a call to start, an answer to give, or
// anything else. One that was taken back is nothing.
type message struct {
	session *core.Session
	call    *core.Call
	answer  *deferred
	do      func()
	void    *core.Call // to complete, since it was taken back: its caller may wait for that
}

// place is where a message lies in an inbox.
type place struct {
	number  uint64
	crowded bool
	index   int
}

// open readies an inbox, before anything else.
func (b *inbox) open() { b.limit.Store(inboxCells) }

// put appends m; false means that the inbox is closed.
func (b *inbox) put(m message) (at place, ok bool) {
	for b.crowds.Load() == 0 {
		n := b.tail.Load()
		if n&closedInbox != 0 {
			return place{}, false
		}
		if n >= b.limit.Load() {
			break
		}
		if b.tail.CompareAndSwap(n, n+1) {
			c := &b.cells[n%inboxCells]
			c.message = m
			c.turn.Store(n + 1)
			return place{number: n}, true
		}
	}
	return b.crowd.put(m, &b.crowds)
}

// takeBack makes nothing of a message that the loop has not taken. False means that it
// has, or is about to look at it: a call completes then, perhaps without having begun.
func (b *inbox) takeBack(at place) bool {
	if at.crowded {
		return b.crowd.takeBack(at)
	}
	// Either this sees what the loop has claimed, or the loop sees this.
	n := at.number
	return b.cells[n%inboxCells].turn.CompareAndSwap(n+1, (n+1)|takenBack) && b.claimed.Load() <= n
}

// length is how many messages there are; for the loop.
func (b *inbox) length() int { return int(b.end()-b.next) + int(b.crowds.Load()) }

// behind is about how many messages there are, for any goroutine.
func (b *inbox) behind() int {
	claimed := b.claimed.Load() // before tail, which is never behind
	return int(b.end()-claimed) + int(b.crowds.Load())
}

// end is the number of the next message of the ring.
func (b *inbox) end() uint64 { return b.tail.Load() &^ closedInbox }

// claim begins a batch of all that is in the ring. The loop takes it, and settles.
func (b *inbox) claim() (end uint64) {
	end = b.end()
	b.claimed.Store(end)
	return end
}

// take returns the next message of a batch, which stays where it is until that is settled;
// false: its poster is about to put it there.
func (b *inbox) take() (m *message, ok bool) {
	c := &b.cells[b.next%inboxCells]
	turn := c.turn.Load()
	if turn&^takenBack != b.next+1 {
		return nil, false
	}
	b.next++
	if turn&takenBack != 0 {
		c.message = message{void: c.message.call}
	}
	return &c.message, true
}

// settle gives the room of what was taken to posters.
func (b *inbox) settle() { b.limit.Store(b.next + inboxCells) }

// close has put refuse what comes from now on.
func (b *inbox) close() {
	b.tail.Or(closedInbox)
	b.crowd.close()
}

// crowd is what an inbox's ring has no room for.
type crowd struct {
	sync.Mutex
	messages []message
	rounds   uint64 // how often the loop has taken them
	closed   bool
}

func (b *crowd) put(m message, count *atomic.Int32) (at place, ok bool) {
	b.Lock()
	defer b.Unlock()
	if b.closed {
		return place{}, false
	}
	at = place{b.rounds, true, len(b.messages)}
	b.messages = append(b.messages, m)
	count.Add(1)
	return at, true
}

func (b *crowd) takeBack(at place) bool {
	b.Lock()
	defer b.Unlock()
	if at.number != b.rounds {
		return false
	}
	b.messages[at.index] = message{}
	return true
}

// takeAll returns all messages. The next come into spare.
func (b *crowd) takeAll(spare []message) []message {
	b.Lock()
	all := b.messages
	b.messages = spare
	b.rounds++
	b.Unlock()
	return all
}

func (b *crowd) close() {
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
