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

// chunk is how many buffers get their memory at a time, when the first of them is
// needed: an endpoint that has little under way takes little.
const chunk = 8

// fill gives up to chunk buffers, from bufs[from], their memory of size bytes each.
//
// The slice that Reserve lends has a capacity of its length plus the buffer's
// number, counted from 1: that is how Send finds the buffer again without
// searching, and why each has that much slack. Buffers lie an odd number of
// cache lines apart, or their first lines would compete for a few cache sets.
func fill(bufs []buffer, from, size int) {
	const line = 64
	stride := ((size+len(bufs)+line-1)/line | 1) * line
	n := min(chunk, len(bufs)-from)
	arena := make([]byte, n*stride)
	for i := range n {
		bufs[from+i].data = arena[i*stride:][: size : size+from+i+1]
	}
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
