package xdp

import (
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
	"github.com/peregrine-rpc/peregrine/internal/xsk"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Recv implements [transport.Transport].
func (q *queue) Recv(pkts []transport.RxPacket) (int, error) {
	if err := q.poll(); err != nil {
		return 0, err
	}
	rx := &q.socket.RX
	n, bytes, took := 0, 0, 0
	if q.beside != nil { // which leaves room for what is in the ring
		n, bytes = q.beside.recv(pkts[:(len(pkts)+1)/2], q.port.view.Load())
	}
	available := rx.Available()
	if ring := q.port.cfg.RxRing; 2*available > q.places && q.places < ring {
		q.makePlaces(min(2*q.places, ring))
		q.refill()
	}
	for took < available && n < len(pkts) {
		p := &pkts[n]
		if rx.Peek().Options&xsk.Continued != 0 {
			pieces, ok := q.assemble(available-took, p)
			if pieces == 0 {
				break
			}
			if took += pieces; ok {
				bytes += len(p.Data)
				n++
			}
			continue
		}
		took++
		d := rx.Take()
		p.Handle = d.Addr
		if q.accept(q.umem.Bytes(d.Addr, int(d.Len)), p) {
			bytes += len(p.Data)
			n++
			q.held++
		} else {
			q.rxFrames.Put(d.Addr)
		}
	}
	if q.polling != unwanted {
		q.pollDevice(n)
	}
	if took == 0 && n == 0 {
		return 0, nil
	}
	rx.Free()
	q.filled -= took
	q.stats.rxCalls.Add(1)
	q.stats.rxPackets.Add(uint64(n))
	q.stats.rxBytes.Add(uint64(bytes))
	return n, nil
}

// poll is what comes before receiving: changes, frames for the kernel, and what a
// send left undone.
func (q *queue) poll() error {
	switch {
	case q.closed.Load():
		return errClosed
	case q.port.gone.Load():
		return errGone
	}
	if q.port.generation.Load() != q.generation {
		q.follow()
	}
	if q.lent > 0 && q.block.news.Load() {
		q.lent -= q.block.takeBack(&q.rxFrames)
	}
	if q.filled <= q.low && q.rxFrames.Len() > 0 {
		q.refill()
	}
	if q.inFlight > 0 {
		if q.put != q.settled {
			q.kick()
		}
		q.reap()
	}
	return nil
}

// refill gives the kernel free frames to receive into.
func (q *queue) refill() {
	fill := &q.socket.Fill
	n := min(q.places-q.filled, q.rxFrames.Len()) // the ring has room for all places
	for range n {
		fill.Put(q.rxFrames.Take())
	}
	q.filled += n
	fill.Publish()
	if n > 0 && fill.NeedsWakeup() {
		_ = q.socket.Nudge() // what matters shows when sending
	}
}

// makePlaces has the kernel have n frames to receive into, the RX ring's size at most.
func (q *queue) makePlaces(n int) { q.places, q.low = n, n-max(1, n/16) }

// accept looks at a packet; true means that p is a datagram for us, in that memory.
func (q *queue) accept(b []byte, p *transport.RxPacket) bool {
	p.Waited = 0
	if payload := q.parser.ParseUsual(b, 0); payload != nil {
		u := netstack.Usual(b)
		p.Data, p.From, p.To, p.Port, p.ECN = payload, u.From(), q.usualTo, u.Port(), transport.ECN(u.ECN())
		return true
	}
	g := &q.datagram
	switch q.parser.Parse(b, 0, g) {
	case netstack.UDP:
		p.Data, p.From, p.To, p.Port, p.ECN = g.Payload, g.From, g.To, g.Port, transport.ECN(g.ECN)
		return true
	case netstack.ForStack, netstack.NotForUs:
	default:
		q.stats.rxMalformed.Add(1)
	}
	return false
}

// Release implements [transport.Transport].
func (q *queue) Release(pkts []transport.RxPacket) {
	if q.closed.Load() {
		return
	}
	for i := range pkts {
		q.free(&pkts[i])
	}
}

// free takes back the memory of a packet, which it clears.
func (q *queue) free(p *transport.RxPacket) {
	switch {
	case p.Handle&assembled != 0:
		q.large.put(p.Handle)
	case p.Handle&atSocket != 0:
		q.beside.put(p.Handle)
	default:
		q.rxFrames.Put(p.Handle)
		q.held--
	}
}

// reap takes back the frames of what was sent.
func (q *queue) reap() int {
	c := &q.socket.Completion
	n := c.Available()
	if n == 0 {
		return 0
	}
	for range n {
		switch addr := c.Take(); {
		case addr-q.txFirst >= q.txSize:
			q.settleForwarded(addr)
		case q.pieces.left == nil || q.pieces.last(addr-q.txFirst):
			q.txFrames.Put(addr)
		}
	}
	q.inFlight -= n
	c.Free()
	return n
}

// kick has the kernel send what is in the TX ring, until that is empty or the
// kernel has enough for now: then the next poll goes on.
func (q *queue) kick() {
	tx := &q.socket.TX
	for left := tx.Left(); left > 0 && tx.NeedsWakeup(); {
		errno := q.socket.Kick()
		q.stats.txCalls.Add(1)
		now := tx.Left()
		switch errno {
		case unix.EBUSY:
			q.settle(now, 1) // the last one was dropped, and is completed
		case unix.ENXIO:
			q.port.vanish()
			return
		default:
			q.settle(now, 0)
		}
		reaped := q.reap()
		if now == 0 || now == left && (errno != unix.EAGAIN || reaped == 0) {
			return
		}
		left = now
	}
	q.settle(tx.Left(), 0)
}

// settle counts what has left the TX ring, of which the kernel dropped some at
// the end.
func (q *queue) settle(left, dropped int) {
	bytes, n := 0, 0
	for mask := uint32(len(q.pending) - 1); q.settled != q.put-uint32(left); q.settled++ {
		if p := q.pending[q.settled&mask]; !p.continued {
			bytes += int(p.payload)
			n++
		}
	}
	if n == 0 {
		return
	}
	if dropped > 0 {
		bytes -= int(q.pending[(q.settled-1)&uint32(len(q.pending)-1)].payload)
		q.stats.refused.Add(1)
		n--
	}
	q.stats.txPackets.Add(uint64(n))
	q.stats.txBytes.Add(uint64(bytes))
}
