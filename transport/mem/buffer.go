package mem

import (
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/transport"
)

// buffer is the memory of one datagram. It belongs to one party at a time: its
// owner's free list, the sender who reserved it, a receiver, or a stack.
type buffer struct {
	next  *buffer
	owner *endpoint
	to    *endpoint // where the owner sent it; nil since it is back
	path  *path     // nil where the addresses of both are as they are open
	data  []byte    // of length MaxPayload
	size  int       // of the datagram in it
	ecn   transport.ECN
}

// newBuffers cuts n buffers of size bytes from one allocation.
//
// The slice that Reserve lends has a capacity of its length plus the buffer's
// number, counted from 1: that is how Send finds the buffer again without
// searching, and why each has that much slack. Buffers lie an odd number of
// cache lines apart, or their first lines would compete for a few cache sets.
func newBuffers(owner *endpoint, n, size int) []buffer {
	const line = 64
	stride := ((size+n+line-1)/line | 1) * line
	arena := make([]byte, n*stride)
	bufs := make([]buffer, n)
	for i := range bufs {
		bufs[i].owner = owner
		bufs[i].data = arena[i*stride:][: size : size+i+1]
	}
	return bufs
}

// stack is a lock-free list of buffers. Any goroutine may push a chain, and
// take all that is there.
type stack struct {
	top atomic.Pointer[buffer]
	_   [56]byte // keeps the line from what the owner writes
}

// push adds a chain of buffers, linked from first to last, and returns whether
// the stack was empty.
func (s *stack) push(first, last *buffer) (wasEmpty bool) {
	for {
		top := s.top.Load()
		last.next = top
		if s.top.CompareAndSwap(top, first) {
			return top == nil
		}
	}
}

func (s *stack) empty() bool { return s.top.Load() == nil }

// take removes and returns all, the newest first.
func (s *stack) take() *buffer {
	if s.empty() {
		return nil
	}
	return s.top.Swap(nil)
}

// reversed turns a chain around.
func reversed(chain *buffer) *buffer {
	var out *buffer
	for chain != nil {
		chain, chain.next, out = chain.next, out, chain
	}
	return out
}
