package uring

import "sync/atomic"

// sq is the submission ring. This side produces.
type sq struct {
	head, tail, flags *uint32 // shared
	array             []uint32
	entries           []SQE
	mask              uint32

	next      uint32 // the entry that is filled next; ahead of *tail until flush
	published uint32 // *tail
	freed     uint32 // *head, when last looked at
}

// Next returns an entry to fill, zeroed, or nil if the ring is full. The kernel
// sees it after the next submission, and it must not be touched from then on.
func (q *sq) Next() *SQE {
	size := uint32(len(q.entries))
	if q.next-q.freed == size {
		if q.freed = atomic.LoadUint32(q.head); q.next-q.freed == size {
			return nil
		}
	}
	i := q.next & q.mask
	q.next++
	if q.array != nil {
		q.array[i] = i
	}
	e := &q.entries[i]
	*e = SQE{}
	return e
}

// flush publishes what was filled in, and returns how many entries the kernel
// has not consumed yet.
func (q *sq) flush() uint32 {
	if q.published != q.next {
		q.published = q.next
		atomic.StoreUint32(q.tail, q.next) // release
	}
	q.freed = atomic.LoadUint32(q.head)
	return q.next - q.freed
}

// Queued is how many entries are filled in and not yet published.
func (q *sq) Queued() int { return int(q.next - q.published) }

// Room is how many entries Next would give.
func (q *sq) Room() int {
	q.freed = atomic.LoadUint32(q.head)
	return len(q.entries) - int(q.next-q.freed)
}

// raised tells whether the kernel has raised any of the flags.
func (q *sq) raised(flags uint32) bool { return atomic.LoadUint32(q.flags)&flags != 0 }
