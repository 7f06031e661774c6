package core

import "math/bits"

// buffers recycles the memory of reassembled requests in classes of powers of
// two, since fresh megabytes cost page faults and garbage collection.
type buffers struct {
	free   [33][][]byte
	cached int
}

const (
	smallestClass = 12       // 4 KiB
	maxCached     = 64 << 20 // bytes kept for reuse
)

func class(n int) int { return max(smallestClass, bits.Len(uint(n-1))) }

// get returns a buffer of length n > 0 with arbitrary contents.
func (b *buffers) get(n int) []byte {
	c := class(n)
	if k := len(b.free[c]); k > 0 {
		buf := b.free[c][k-1]
		b.free[c] = b.free[c][:k-1]
		b.cached -= 1 << c
		return buf[:n]
	}
	return make([]byte, n, 1<<c)
}

// put takes back a buffer that get returned.
func (b *buffers) put(buf []byte) {
	if b.cached+cap(buf) > maxCached {
		return
	}
	c := class(cap(buf))
	b.free[c] = append(b.free[c], buf)
	b.cached += 1 << c
}
