package raw

import (
	"math"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// batch is the least number of packets moved at once: one segmentation-offloaded
// send holds that many.
const batch = 64

// full is how long to wait for room in a send queue before looking again.
const full = time.Millisecond

// burst collects packets and sends them together.
type burst struct {
	tr   transport.Transport
	pkts []transport.TxPacket
	lent int // pkts[:lent] have heads
	used int // pkts[:used] are filled
}

func newBurst(tr transport.Transport) *burst {
	return &burst{tr: tr, pkts: make([]transport.TxPacket, max(batch, tr.Caps().TxBatch))}
}

// next returns a packet to fill, with a head. It sends what it holds when it has
// no more room.
func (b *burst) next() (*transport.TxPacket, error) { return b.nextWithin(math.MaxInt) }

// nextWithin is next, and nil where there is no room after that many looks.
func (b *burst) nextWithin(looks int) (*transport.TxPacket, error) {
	for ; b.used == b.lent; looks-- {
		if looks == 0 {
			return nil, nil
		}
		if b.used == len(b.pkts) {
			if err := b.flush(); err != nil {
				return nil, err
			}
		}
		n := b.tr.Reserve(b.pkts[b.lent:])
		b.lent += n
		if n > 0 {
			break
		}
		if err := b.flush(); err != nil {
			return nil, err
		}
		if err := b.tr.Wait(full); err != nil {
			return nil, err
		}
	}
	p := &b.pkts[b.used]
	b.used++
	return p, nil
}

// flush sends all filled packets.
func (b *burst) flush() error {
	for b.used > 0 {
		n, err := b.tr.Send(b.pkts[:b.used])
		if err != nil {
			return err
		}
		copy(b.pkts, b.pkts[n:b.lent])
		clear(b.pkts[b.lent-n : b.lent])
		b.lent -= n
		b.used -= n
		if b.used > 0 {
			if err := b.tr.Wait(full); err != nil {
				return err
			}
		}
	}
	return nil
}
