package udpsock

import "github.com/peregrine-rpc/peregrine/transport"

// Heads lends the transmit buffers of Reserve to sends that copy, so that every
// buffer is back when Send returns. The last one back is lent first: it is the
// one in the cache, and memory of those never needed is not touched.
type Heads struct {
	size  int
	free  [][]byte
	fresh int    // how many were never lent
	mem   []byte // theirs; nil: it is allocated when they are needed
}

// NewHeads makes count buffers of size bytes in mem, which has room for HeadsSize
// bytes. Where mem is nil each is allocated when it is first needed.
func NewHeads(count, size int, mem []byte) Heads {
	return Heads{size: size, free: make([][]byte, 0, count), fresh: count, mem: mem}
}

// HeadsSize is the memory of as many buffers.
func HeadsSize(count, size int) int { return count * Stride(size) }

// another returns a buffer that was never lent. There must be one.
func (h *Heads) another() []byte {
	h.fresh--
	if h.mem == nil {
		return make([]byte, h.size)
	}
	return h.mem[h.fresh*Stride(h.size):][:h.size:h.size]
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
	for ; n < len(pkts) && h.fresh > 0; n++ {
		pkts[n].Head = h.another()
	}
	return n
}

// Take ends the caller's hold on packets that were sent or dropped.
func (h *Heads) Take(pkts []transport.TxPacket) {
	free := h.free
	for i := range pkts {
		p := &pkts[i]
		// What does not have the size of a lent buffer was not lent.
		if cap(p.Head) == h.size {
			free = append(free, p.Head[:h.size])
		}
		p.Head, p.Payload = nil, nil
	}
	h.free = free
}
