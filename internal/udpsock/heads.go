package udpsock

import "github.com/peregrine-rpc/peregrine/transport"

// Heads lends the transmit buffers of Reserve to sends that copy, so that every
// buffer is back when Send returns. The last one back is lent first: it is the
// one in the cache.
type Heads struct {
	size int
	free [][]byte
}

// NewHeads makes count buffers of size bytes.
func NewHeads(count, size int) Heads {
	h := Heads{size: size}
	mem := make([]byte, count*Stride(size))
	for ; count > 0; count-- {
		h.free = append(h.free, mem[:size:size])
		mem = mem[Stride(size):]
	}
	return h
}

// Stride is the distance of buffers of that size: an odd number of cache lines,
// so that the first lines of all buffers do not share one set of the cache.
func Stride(size int) int {
	const line = 64
	return ((size+line-1)/line | 1) * line
}

// Reserve is [transport.Transport.Reserve].
func (h *Heads) Reserve(pkts []transport.TxPacket) int {
	n := min(len(pkts), len(h.free))
	for i := range pkts[:n] {
		pkts[i].Head = h.free[len(h.free)-1-i]
	}
	h.free = h.free[:len(h.free)-n]
	return n
}

// Take ends the caller's hold on packets that were sent or dropped.
func (h *Heads) Take(pkts []transport.TxPacket) {
	for i := range pkts {
		// What does not have the size of a lent buffer was not lent.
		if head := pkts[i].Head; cap(head) == h.size {
			h.free = append(h.free, head[:h.size])
		}
		pkts[i].Head, pkts[i].Payload = nil, nil
	}
}
