package uring

import (
	"encoding/binary"
	"sync/atomic"
)

// Buffers is a ring of buffers that the kernel takes from for requests with
// BufferSelect, in the order in which they were added. This side produces.
type Buffers struct {
	entries []bufferEntry
	mask    uint32
	memory  []byte // that the entries lie in

	next      uint16 // the place that is filled next; ahead of the tail until Publish
	published uint16
	first     uint16 // the number of the buffer in the first place, beside the tail
}

// Add puts a buffer of length bytes at addr at the end of the ring, under a number
// that completions will name. Buffers that are with the kernel, or added, must
// never be more than the ring has places.
func (b *Buffers) Add(addr uint64, length uint32, number uint16) {
	i := uint32(b.next) & b.mask
	e := &b.entries[i]
	e.addr, e.len = addr, length
	if i == 0 {
		// The tail lies beside this number, and the kernel reads it.
		b.first = number
		atomic.StoreUint32(&e.last, beside(number, b.published))
	} else {
		e.last = beside(number, 0)
	}
	b.next++
}

// Publish lets the kernel have the buffers that were added.
func (b *Buffers) Publish() {
	if b.published != b.next {
		b.published = b.next
		atomic.StoreUint32(&b.entries[0].last, beside(b.first, b.next)) // release
	}
}

// Added is how many buffers were added and not yet published.
func (b *Buffers) Added() int { return int(b.next - b.published) }

// beside is a buffer's number and the ring's tail as they lie in memory.
func beside(number, tail uint16) uint32 {
	var word [4]byte
	binary.NativeEndian.PutUint16(word[:], number)
	binary.NativeEndian.PutUint16(word[2:], tail)
	return binary.NativeEndian.Uint32(word[:])
}
