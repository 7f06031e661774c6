package xdp

import (
	"math/bits"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
	"github.com/peregrine-rpc/peregrine/internal/xsk"
	"github.com/peregrine-rpc/peregrine/transport"
)

// foreign is a set of frames of other queues that a queue is sending.
type foreign struct {
	words []uint64 // a bit for each frame of the memory; nil until there is one
	n     int
}

func (f *foreign) add(frame, of uint64) {
	if f.words == nil {
		f.words = make([]uint64, of/64+1)
	}
	f.words[frame/64] |= 1 << (frame % 64)
	f.n++
}

func (f *foreign) remove(frame uint64) {
	f.words[frame/64] &^= 1 << (frame % 64)
	f.n--
}

func (f *foreign) has(frame uint64) bool {
	return f.words != nil && f.words[frame/64]>>(frame%64)&1 != 0
}

// each calls do for all.
func (f *foreign) each(do func(frame uint64)) {
	for i, word := range f.words {
		for ; word != 0; word &= word - 1 {
			do(uint64(i*64 + bits.TrailingZeros64(word)))
		}
	}
}

// Forwards implements [transport.Forwarder].
func (q *queue) Forwards(from transport.Transport) bool {
	source, ours := from.(*queue)
	return ours && source.memory == q.memory
}

// Forward implements [transport.Forwarder]. The headers of the way out take the
// place of those that the frame came with, in front of a payload that nobody moves.
func (q *queue) Forward(from transport.Transport, pkts []transport.RxPacket, routes []transport.Route) (taken int, err error) {
	source, ours := from.(*queue)
	switch {
	case !ours || source.memory != q.memory:
		return 0, wrong("memory", "what an interface without the same memory received cannot be forwarded as it lies: send a copy")
	case q.closed.Load() || source.closed.Load():
		return 0, errClosed
	case q.port.gone.Load():
		return 0, errGone
	}
	q.full = false
	q.reap()
	tx := &q.socket.TX
	held, lent := 0, 0
	for room := tx.Room(); taken < len(pkts); taken++ {
		p := &pkts[taken]
		d := q.routes.Get(uint32(routes[taken]))
		whole := p.Handle&(assembled|atSocket) == 0
		switch {
		case q.unfit(d, len(p.Data)):
			source.free(p)
			continue
		case room < q.memory.layout.run || !whole && q.txFrames.Len() == 0:
			tx.Publish()
			q.kick()
			room = tx.Room()
		}
		if room < q.memory.layout.run || !whole && q.txFrames.Len() == 0 {
			q.full = true
			break
		}
		if !whole { // it lies in no frame
			room -= q.post(q.build(&transport.TxPacket{Head: q.copyOf(p.Data), ECN: p.ECN}, d, len(p.Data)), len(p.Data))
			source.free(p)
			continue
		}
		desc := q.relabel(p, d)
		if source != q {
			q.foreign.add(desc.Addr/uint64(q.umem.FrameSize()), q.memory.frames())
			lent++
		}
		q.enter(desc, pending{payload: uint16(len(p.Data))})
		*p = transport.RxPacket{}
		held++
		room--
	}
	source.held -= held
	if lent > 0 {
		source.lent += lent
		source.block.lend(lent)
	}
	q.stats.forwarded.Add(uint64(held))
	tx.Publish()
	q.kick()
	return taken, nil
}

// relabel gives a received frame the headers of its way out. Its checksum follows from
// the one that it came with, where that was whole: so it still vouches for what the
// sender wrote.
func (q *queue) relabel(p *transport.RxPacket, d *destination) xsk.Desc {
	head := d.headers.Len()
	at := q.umem.Address(p.Data) // of an empty one, where its frame begins: there is room before that, too
	desc := xsk.Desc{Addr: at - uint64(head), Len: uint32(head + len(p.Data))}
	if len(p.Data) > 0 && !q.offload {
		if sum, known := netstack.PayloadSum(q.umem.Bytes(p.Handle, int(at-p.Handle)), p.From, p.To); known {
			frame := q.umem.Bytes(desc.Addr, int(desc.Len))
			d.headers.Put(frame, len(p.Data), uint8(p.ECN))
			d.headers.CompleteWith(frame, sum)
			return desc
		}
	}
	return q.complete(desc, d, len(p.Data), p.ECN)
}

// copyOf puts a datagram into a buffer of ours, of which there must be one.
func (q *queue) copyOf(data []byte) []byte {
	head := q.umem.Bytes(q.txFrames.Take()+headroom, len(data))
	copy(head, data)
	return head
}

// settleForwarded takes back a frame that was sent, and is none of those for sending.
func (q *queue) settleForwarded(addr uint64) {
	frame := addr / uint64(q.umem.FrameSize())
	if q.foreign.has(frame) {
		q.foreign.remove(frame)
		q.memory.giveBack(addr)
		return
	}
	q.rxFrames.Put(addr)
}
