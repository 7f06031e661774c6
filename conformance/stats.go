package conformance

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

func bothSidesCountTheSame(t *testing.T, p *pair) {
	tx, rx := p.near.Stats(), p.far.Stats()
	packets, bytes := uint64(0), uint64(0)
	for _, n := range []int{1, p.near.Caps().TxBatch, 7, 30} {
		for _, size := range []int{0, 1, 48, 1000} {
			requireCarried(p.near, p.far, numbered(n, size), n)
			packets += uint64(n)
			bytes += uint64(n * size)
		}
	}
	sent, got := p.near.Stats(), p.far.Stats()
	require.Equal(t, packets, sent.TxPackets-tx.TxPackets, "TxPackets")
	require.Equal(t, bytes, sent.TxBytes-tx.TxBytes, "TxBytes are those of Head and Payload")
	require.Equal(t, packets, got.RxPackets-rx.RxPackets, "RxPackets")
	require.Equal(t, bytes, got.RxBytes-rx.RxBytes, "RxBytes are those of Data")
	require.Greater(t, sent.TxCalls, tx.TxCalls, "TxCalls")
	require.Greater(t, got.RxCalls, rx.RxCalls, "RxCalls")
	require.Equal(t, drops(tx), drops(sent), "nothing was dropped")
	require.Equal(t, drops(rx), drops(got), "nothing was dropped")
}

func drops(s transport.Stats) uint64 {
	return s.RxTruncated + s.RxMalformed + s.RxOverflow + refusals(s)
}

// refusals are the drops of a sender.
func refusals(s transport.Stats) uint64 { return s.TxTooLarge + s.TxRefused + s.TxUnresolved }

func everyPacketTakenIsCountedOnce(t *testing.T, p *pair) {
	before, taken := p.near.Stats(), p.near.taken
	tooMuch := datagram{bytes: make([]byte, p.near.Caps().MaxPayload+1)}
	for range 10 {
		p.near.send(numbered(3, 20)...)
		p.near.send(tooMuch)
		p.far.Release(p.far.receive(3))
	}
	require.NoError(t, p.far.Close())
	p.near.send(numbered(20, 20)...)
	p.near.requireCompleted(p.near.taken)

	after := p.near.Stats()
	require.Equal(t, p.near.taken-taken, after.TxPackets-before.TxPackets+refusals(after)-refusals(before),
		"each packet taken is sent, or dropped and counted by one cause: %+v", after)
	require.Equal(t, uint64(10), after.TxTooLarge-before.TxTooLarge)
}

func anyoneMayReadTheCounters(t *testing.T, p *pair) {
	var stop atomic.Bool
	var reader sync.WaitGroup
	caps, local := p.near.Caps(), p.near.LocalAddr()
	reader.Go(func() {
		var last transport.Stats
		for !stop.Load() {
			now := p.near.Stats()
			assert.True(t, now.TxPackets >= last.TxPackets && now.RxPackets >= last.RxPackets && drops(now) >= drops(last),
				"counters only grow: %+v after %+v", now, last)
			assert.Equal(t, caps, p.near.Caps(), "Caps are constant")
			assert.Equal(t, local, p.near.LocalAddr(), "LocalAddr is constant")
			last = now
		}
	})
	// Whatever happens, the reader ends before the transports do.
	defer reader.Wait()
	defer stop.Store(true)
	for range 50 {
		requireCarried(p.near, p.far, numbered(30, 48), 30)
		requireCarried(p.far, p.near, numbered(30, 48), 30)
	}
}
