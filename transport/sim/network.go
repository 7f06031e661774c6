package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Network is a world of hosts, switches and links in virtual time.
type Network struct {
	now    time.Duration
	order  uint64 // of the last event scheduled
	agenda agenda
	ready  queue[*task] // to be polled now
	random *rand.Rand

	hosts    []*Host
	switches []*Switch
	routed   bool // the switches' tables are up to date

	packets []*Packet           // all there are, by index
	pool    [len(sizes)]*Packet // free ones
	lastID  uint64
	tracer  *tracer
}

// epoch is when a network begins. It is not 0, since programs like to take that
// for "never".
const epoch = time.Second

// New makes an empty network. The seed decides all chance in it.
func New(seed uint64) *Network {
	return &Network{now: epoch, random: rand.New(rand.NewPCG(seed, 0))}
}

// Now is the time. It begins at 1 s.
func (n *Network) Now() time.Duration { return n.now }

// Rand is chance for the program that builds the network, from the same seed.
// The faults of each pipe have their own.
func (n *Network) Rand() *rand.Rand { return n.random }

// Hosts returns all hosts, in the order they were made in.
func (n *Network) Hosts() []*Host { return n.hosts }

// schedule arranges for what to happen, and returns the order of its event.
func (n *Network) schedule(at time.Duration, what happening) (order uint64) {
	n.order++
	n.agenda.push(event{max(at, n.now), n.order, what})
	return n.order
}

// Step does the next thing there is to do: one event, or one poll of one actor.
// It moves the clock if nothing is left to do now. False means that nothing is
// left at all.
func (n *Network) Step() bool {
	if n.ready.length() > 0 && (len(n.agenda) == 0 || n.agenda[0].at > n.now) {
		n.ready.pop().poll()
		return true
	}
	if len(n.agenda) == 0 {
		return false
	}
	e := n.agenda.pop()
	n.now = e.at
	e.what.happen(e.order)
	return true
}

// idle says that nothing is left to do until after limit.
func (n *Network) idle(limit time.Duration) bool {
	return n.ready.length() == 0 && (len(n.agenda) == 0 || n.agenda[0].at > limit)
}

// Run lets an amount of time pass.
func (n *Network) Run(amount time.Duration) {
	limit := n.now + amount
	for !n.idle(limit) {
		n.Step()
	}
	n.now = limit
}

// Until runs until cond is true, which it looks at after each step. It is an
// error if that takes longer than limit, or if nothing is left to happen.
func (n *Network) Until(limit time.Duration, cond func() bool) error {
	end := n.now + limit
	for !cond() {
		if n.idle(end) {
			why := fmt.Errorf("sim: the condition still does not hold after %v, at %v", limit, end)
			if n.idle(1<<63 - 1) {
				why = fmt.Errorf("sim: nothing is left to happen at %v; a host that was given work from outside needs Kick", n.now)
			}
			for _, h := range n.hosts {
				why = errors.Join(why, h.err)
			}
			return why
		}
		n.Step()
	}
	return nil
}

// At calls do at a time, or at once if that has passed.
func (n *Network) At(at time.Duration, do func()) { n.schedule(at, script(do)) }

type script func()

func (s script) happen(uint64) { s() }

// queue is first in, first out.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) length() int { return len(q.items) - q.head }

func (q *queue[T]) push(item T) {
	if q.head > 0 && len(q.items) == cap(q.items) {
		q.items, q.head = append(q.items[:0], q.items[q.head:]...), 0
	}
	q.items = append(q.items, item)
}

func (q *queue[T]) pop() T {
	item := q.items[q.head]
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return item
}
