package pgrpc

import "sync"

// buffer is memory for a message on its way, kept for the next one thereafter.
type buffer struct {
	b       []byte
	release func() // free
}

// Buffers of up to smallBuffer are kept apart from larger ones, up to largeBuffer, so that
// who calls with few bytes does not hold many.
const (
	smallBuffer = 64 << 10
	largeBuffer = 16 << 20
)

var smallBuffers, largeBuffers sync.Pool // of *buffer

// newBufferFor returns an empty buffer, with room for n bytes if that is many.
func newBufferFor(n int) *buffer {
	pool := &smallBuffers
	if n > smallBuffer {
		pool = &largeBuffers
	}
	b, ok := pool.Get().(*buffer)
	if !ok {
		b = new(buffer)
		b.release = b.free
	}
	if cap(b.b) < n || cap(b.b) == 0 {
		b.b = make([]byte, 0, max(n, 512))
	}
	return b
}

// free keeps b for another message.
func (b *buffer) free() {
	b.b = b.b[:0]
	switch n := cap(b.b); {
	case n <= smallBuffer:
		smallBuffers.Put(b)
	case n <= largeBuffer:
		largeBuffers.Put(b)
	}
}
