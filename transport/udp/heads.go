package udp

import "github.com/peregrine-rpc/peregrine/transport"

// heads lends the transmit buffers of Reserve. Sends copy, so that every buffer
// is back when Send returns, and the last one back is lent first: it is the one
// in the cache.
type heads struct {
	size int
	free [][]byte
}

func newHeads(count, size int) heads {
	h := heads{size: size}
	mem := make([]byte, count*stride(size))
	for ; count > 0; count-- {
		h.free = append(h.free, mem[:size:size])
		mem = mem[stride(size):]
	}
	return h
}

// stride is the distance of buffers of that size: an odd number of cache lines,
// so that the first lines of all buffers do not share one set of the cache.
func stride(size int) int {
	const line = 64
	return ((size+line-1)/line | 1) * line
}

func (h *heads) reserve(pkts []transport.TxPacket) int {
	n := min(len(pkts), len(h.free))
	for i := range pkts[:n] {
		pkts[i].Head = h.free[len(h.free)-1-i]
	}
	h.free = h.free[:len(h.free)-n]
	return n
}

// take ends the caller's hold on packets that were sent or dropped.
func (h *heads) take(pkts []transport.TxPacket) {
	for i := range pkts {
		// What does not have the size of a lent buffer was not lent.
		if head := pkts[i].Head; cap(head) == h.size {
			h.free = append(h.free, head[:h.size])
		}
		pkts[i].Head, pkts[i].Payload = nil, nil
	}
}
