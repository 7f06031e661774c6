package core

import "math/bits"

// buffers recycles the memory of reassembled requests in classes of sizes,
// since fresh megabytes cost page faults and garbage collection. It counts
// capacities, which is what memory costs.
type buffers struct {
	classes [numClasses]struct {
		free  [][]byte
		least int // that were free at a time since the last trim
	}
	bound  int64 // on all that is lent, kept or copied
	lent   int64
	kept   int64 // in free
	copies int64 // of requests and replies, in whatever Request has them
	maps   int64 // bitmaps of fragments of what is being received
	poison bool
}

// There are four classes to a doubling, so that at most a fifth of a buffer is
// not used.
const (
	smallestBuffer = 1 << 10
	numClasses     = 4*(32-10) + 1
	maxKept        = 64 << 20 // bytes kept for reuse
)

// class is the smallest class for n bytes.
func class(n int) int {
	if n <= smallestBuffer {
		return 0
	}
	quarter := bits.Len(uint(n-1)) - 3 // log2 of a step
	return (quarter-8)*4 + (n-1)>>quarter - 3
}

// classSize is the capacity of a class.
func classSize(c int) int { return (4 + c%4) << (8 + c/4) }

// get returns a buffer of length n > 0 with arbitrary contents, or nil if that
// would be too much.
func (b *buffers) get(n int) []byte {
	c := class(n)
	list := &b.classes[c]
	if k := len(list.free); k > 0 {
		buf := list.free[k-1]
		list.free[k-1] = nil
		list.free = list.free[:k-1]
		list.least = min(list.least, k-1)
		b.kept -= int64(cap(buf))
		b.lent += int64(cap(buf))
		return buf[:n]
	}
	size := int64(classSize(c))
	room := b.room()
	if size > room {
		size = int64(n) // what is left shall do
	}
	if size > room {
		return nil
	}
	b.evict(room - size)
	b.lent += size
	return make([]byte, n, size)
}

// room is what may be lent. The bitmaps of messages that fill it are a 4096th of it,
// and come with it; those of messages that are only claimed take their room.
func (b *buffers) room() int64 { return b.bound - b.lent - b.copies - max(0, b.maps-b.bound/4096) }

// keeps says whether a buffer of length n is there.
func (b *buffers) keeps(n int) bool { return len(b.classes[class(n)].free) > 0 }

// regrow is get for what takes the place of former, if that is not nil, and begins
// with the same bytes.
func (b *buffers) regrow(former []byte, n int) []byte {
	b.lent -= int64(cap(former))
	buf := b.get(n)
	b.lent += int64(cap(former))
	if buf != nil && former != nil {
		copy(buf, former)
		b.put(former)
	}
	return buf
}

// put takes back a buffer that get returned.
func (b *buffers) put(buf []byte) {
	size := cap(buf)
	b.lent -= int64(size)
	if b.poison {
		poison(buf[:size])
		return // whoever reads on reads this
	}
	if b.kept+int64(size) > min(maxKept, b.room()) {
		return
	}
	c := class(size)
	if classSize(c) > size { // made to fit what was left
		if c--; c < 0 {
			return
		}
	}
	b.classes[c].free = append(b.classes[c].free, buf)
	b.kept += int64(size)
}

// evict lets go of what is kept beyond a number of bytes, the largest first.
func (b *buffers) evict(most int64) {
	for c := numClasses - 1; b.kept > most; c-- {
		list := &b.classes[c]
		for k := len(list.free); k > 0 && b.kept > most; k-- {
			b.kept -= int64(cap(list.free[k-1]))
			list.free[k-1] = nil
			list.free = list.free[:k-1]
		}
		list.least = min(list.least, len(list.free))
	}
}

// trim lets go of what was not needed since the last trim.
func (b *buffers) trim() {
	for c := range b.classes {
		list := &b.classes[c]
		for _, buf := range list.free[:list.least] {
			b.kept -= int64(cap(buf))
		}
		list.free = drop(list.free, list.least)
		list.least = len(list.free)
	}
}
