package xdp

import (
	"github.com/peregrine-rpc/peregrine/internal/arena"
	"github.com/peregrine-rpc/peregrine/internal/xsk"
	"github.com/peregrine-rpc/peregrine/transport"
)

// A packet longer than a frame is several entries of a ring. To send one we have
// frames that lie side by side, so that it is written as if they were one. What
// arrives lies here and there, and is put together.

// mostFrames is how many frames a packet may have: the kernel takes 17 pieces, and
// drops what has more without a word.
const mostFrames = 16

// pieces counts what is on the way out of buffers that have several frames.
type pieces struct {
	left []uint8 // by buffer; nil where each has one frame
	size uint64  // of a buffer, in bytes
}

func newPieces(buffers int, size uint64) pieces { return pieces{make([]uint8, buffers), size} }

// last counts a frame that was sent, at that offset from the first buffer; true
// means that nothing of its buffer is on the way any more.
func (p *pieces) last(at uint64) bool {
	left := &p.left[at/p.size]
	*left--
	return *left == 0
}

// postPieces is post of a packet that may go on beyond its first frame.
func (q *queue) postPieces(d xsk.Desc, payload int) (entries int) {
	size := uint64(q.umem.FrameSize())
	for at, left := d.Addr, uint64(d.Len); left > 0; entries++ {
		n := min(left, size-at%size)
		entry, what := xsk.Desc{Addr: at, Len: uint32(n)}, pending{payload: uint16(payload)}
		if n < left {
			entry.Options, what = xsk.Continued, pending{continued: true}
		}
		q.enter(entry, what)
		at, left = at+n, left-n
	}
	q.pieces.left[(d.Addr-q.txFirst)/q.pieces.size] = uint8(entries)
	return entries
}

// assembled is in the handle of a packet that was put together; the rest of it is a
// place in large.
const assembled = 1 << 63

// large is memory for packets that were put together, as many as may be held.
type large struct {
	memory *arena.Arena
	n      int // places
	size   int // of each, in bytes
	idle   []uint32
}

func newLarge(n, size int) (l large, err error) {
	if l.memory, err = arena.New(n * size); err != nil {
		return large{}, err
	}
	l.n, l.size = n, size
	for i := range n {
		l.idle = append(l.idle, uint32(n-1-i))
	}
	return l, nil
}

func (l *large) free() {
	if l.memory != nil {
		l.memory.Free()
		l.memory = nil
	}
}

func (l *large) put(handle uint64) { l.idle = append(l.idle, uint32(handle)) }

// chain is how many of the available entries of the RX ring are the first packet's;
// 0 if its last is not among them.
func (q *queue) chain(available int) int {
	for i := range available {
		if q.socket.RX.PeekAt(i).Options&xsk.Continued == 0 {
			return i + 1
		}
	}
	return 0
}

// assemble takes a packet of several frames out of the RX ring, of which so many
// entries are available, and gives back the frames. ok means that p is a datagram
// for us.
func (q *queue) assemble(available int, p *transport.RxPacket) (entries int, ok bool) {
	entries = q.chain(available)
	if entries == 0 {
		return 0, false
	}
	var place, room []byte
	if last := len(q.large.idle) - 1; last >= 0 {
		p.Handle = assembled | uint64(q.large.idle[last])
		place = q.large.memory.Bytes()[int(q.large.idle[last])*q.large.size:][:q.large.size:q.large.size]
		room = place
	}
	length := 0
	for range entries {
		d := q.socket.RX.Take()
		room = room[copy(room, q.umem.Bytes(d.Addr, int(d.Len))):]
		length += int(d.Len)
		q.rxFrames.Put(d.Addr)
	}
	switch {
	case place == nil:
		q.stats.noBuffer.Add(1)
		return entries, false
	case length > len(place) || !q.accept(place[:length], p):
		return entries, false
	}
	q.large.idle = q.large.idle[:len(q.large.idle)-1]
	return entries, true
}
