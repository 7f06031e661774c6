package xsk

import "sync/atomic"

// Desc is an entry of the TX and RX rings (struct xdp_desc): where in the UMEM a
// packet lies.
type Desc struct {
	Addr    uint64
	Len     uint32
	Options uint32
}

// Continued in a Desc's Options says that the packet goes on in the next entry
// (XDP_PKT_CONTD). Sockets bound with XDP_USE_SG take and give such packets.
const Continued = 1

// needWakeup is the kernel's flag of a ring, XDP_RING_NEED_WAKEUP.
const needWakeup = 1

// ring is what both kinds have.
type ring[E uint64 | Desc] struct {
	producer, consumer, flags *uint32 // shared
	entries                   []E
	mask                      uint32
}

// Producer is a ring that this side fills, fill or TX.
type Producer[E uint64 | Desc] struct {
	ring[E]
	next      uint32 // the entry that is put next; ahead of published until Publish
	published uint32 // *producer
	consumed  uint32 // *consumer, when last looked at
}

// Room is how many entries may be put.
func (r *Producer[E]) Room() int {
	r.consumed = atomic.LoadUint32(r.consumer) // acquire
	return len(r.entries) - int(r.next-r.consumed)
}

// Put adds an entry; there must be room. The kernel sees it after Publish.
func (r *Producer[E]) Put(e E) {
	r.entries[r.next&r.mask] = e
	r.next++
}

// Publish lets the kernel have what was put.
func (r *Producer[E]) Publish() {
	if r.published != r.next {
		r.published = r.next
		atomic.StoreUint32(r.producer, r.next) // release
	}
}

// Left is how many published entries the kernel has not consumed.
func (r *Producer[E]) Left() int { return int(r.published - atomic.LoadUint32(r.consumer)) }

// NeedsWakeup tells whether the kernel looks at the ring only when it is told to.
func (r *Producer[E]) NeedsWakeup() bool {
	return atomic.LoadUint32(r.flags)&needWakeup != 0
}

// Consumer is a ring that the kernel fills, completion or RX.
type Consumer[E uint64 | Desc] struct {
	ring[E]
	next     uint32 // the entry that is taken next; ahead of *consumer until Free
	returned uint32 // *consumer
	arrived  uint32 // *producer, when last looked at
}

// Available is how many entries may be taken.
func (r *Consumer[E]) Available() int {
	if r.next == r.arrived {
		r.arrived = atomic.LoadUint32(r.producer) // acquire
	}
	return int(r.arrived - r.next)
}

// Peek returns the entry that Take would.
func (r *Consumer[E]) Peek() E { return r.entries[r.next&r.mask] }

// PeekAt returns the entry that Take would after n others; as many must be
// available.
func (r *Consumer[E]) PeekAt(n int) E { return r.entries[(r.next+uint32(n))&r.mask] }

// Take returns the next entry; there must be one available.
func (r *Consumer[E]) Take() E {
	e := r.entries[r.next&r.mask]
	r.next++
	return e
}

// Free gives the entries that were taken back to the kernel.
func (r *Consumer[E]) Free() {
	if r.returned != r.next {
		r.returned = r.next
		atomic.StoreUint32(r.consumer, r.next) // release
	}
}
