package conformance

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// whatIsNotTakenIsUnchanged floods the queue while nobody receives. Some
// backends never say that they are full, which is no fault.
func whatIsNotTakenIsUnchanged(t *testing.T, p *pair) {
	ds := numbered(p.near.Caps().TxBatch, 1000)
	for i := range ds {
		ds[i].head = len(ds[i].bytes) / 2
	}
	pkts := make([]transport.TxPacket, len(ds))
	for range 200 {
		n := p.near.Reserve(pkts)
		p.near.load(pkts[:n], ds[:n])
		before := slices.Clone(pkts[:n])
		taken, err := p.near.Send(pkts[:n])
		require.NoError(t, err, "a full queue is no error")
		p.near.taken += uint64(taken)
		for i := taken; i < n; i++ {
			got, want := pkts[i], before[i]
			same := len(got.Head) == len(want.Head) && &got.Head[0] == &want.Head[0] && got.Route == want.Route &&
				bytes.Equal(slices.Concat(got.Head, got.Payload), ds[i].bytes)
			require.True(t, same, "what Send did not take stays the caller's, unchanged")
		}
		if n == 0 || taken < n {
			p.drain()
			p.near.push(pkts[taken:n])
		}
	}
	p.drain()
	requireCarried(p.near, p.far, numbered(10, 100), 10)
}

// drain receives and forgets, at the far side, all that the near one has sent.
// The last of it is known by a mark behind it.
func (p *pair) drain() {
	p.t.Helper()
	rx := make([]transport.RxPacket, p.far.Caps().RxBatch)
	tx := make([]transport.TxPacket, 1)
	reserved := 0
	for late, marks := expires(), 0; ; marks++ {
		mark := pattern(-1-marks, 33)
		if reserved == 0 {
			reserved = p.near.Reserve(tx)
		}
		p.near.load(tx[:reserved], []datagram{headed(mark)}[:reserved])
		// A queue may be full until the other side receives.
		sent, err := p.near.Send(tx[:reserved])
		require.NoError(p.t, err, "a full queue is no error")
		p.near.taken += uint64(sent)
		if reserved -= sent; reserved > 0 {
			tx[0].Head = tx[0].Head[:p.near.Caps().MaxPayload]
		}
		for again := time.Now().Add(100 * time.Millisecond); time.Now().Before(again); p.far.wait(time.Millisecond) {
			for n := p.far.recv(rx); n > 0; n = p.far.recv(rx) {
				end := slices.ContainsFunc(rx[:n], func(p transport.RxPacket) bool { return bytes.Equal(p.Data, mark) })
				p.far.Release(rx[:n])
				if end {
					return
				}
			}
			if sent == 0 {
				break
			}
		}
		require.False(p.t, late(), "a receiver that was flooded receives again: %+v", p.far.Stats())
	}
}
