package uring

import "sync/atomic"

// cq is the completion ring. This side consumes.
type cq struct {
	head, tail *uint32 // shared
	overflow   *uint32 // how many the kernel had to drop, for ever
	entries    []CQE
	mask       uint32

	next     uint32 // the completion that is read next; ahead of *head until Free
	returned uint32 // *head
	arrived  uint32 // *tail, when last looked at
}

// Completion returns the next completion, or nil if there is none. It may be read
// until Free.
func (q *cq) Completion() *CQE {
	if q.next == q.arrived {
		if q.arrived = atomic.LoadUint32(q.tail); q.next == q.arrived { // acquire
			return nil
		}
	}
	e := &q.entries[q.next&q.mask]
	q.next++
	return e
}

// Arrived tells whether Completion would return one.
func (q *cq) Arrived() bool {
	return q.next != q.arrived || atomic.LoadUint32(q.tail) != q.next
}

// Free gives the completions that were returned so far back to the kernel.
func (q *cq) Free() {
	if q.returned != q.next {
		q.returned = q.next
		atomic.StoreUint32(q.head, q.next) // release
	}
}

// Lost is how many completions the kernel could not even keep for later: none,
// since Linux 5.5, while it has memory.
func (q *cq) Lost() uint32 { return atomic.LoadUint32(q.overflow) }
