package conformance

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// reserveAll takes every buffer that is to be had, within reason.
func (e *end) reserveAll() []transport.TxPacket {
	e.t.Helper()
	pkts := make([]transport.TxPacket, 1<<13)
	n := 0
	for n < len(pkts) {
		k := e.Reserve(pkts[n:])
		require.LessOrEqual(e.t, k, len(pkts)-n, "Reserve sets Head in pkts, from the front")
		if k == 0 {
			break
		}
		n += k
	}
	return pkts[:n]
}

func lentBuffersAreApart(t *testing.T, p *pair) {
	pkts := p.near.reserveAll()
	require.NotEmpty(t, pkts, "Zero means that all buffers are in flight")
	for i := range pkts {
		require.Len(t, pkts[i].Head, p.near.Caps().MaxPayload, "Reserve lends buffers of length MaxPayload")
		copy(pkts[i].Head, pattern(i, len(pkts[i].Head)))
	}
	for i := range pkts {
		require.True(t, bytes.Equal(pattern(i, len(pkts[i].Head)), pkts[i].Head), "two lent buffers overlap")
	}
}

// aBufferInFlightIsNotLent scrawls over all buffers it is lent right behind a
// Send whose packets nobody has received.
func aBufferInFlightIsNotLent(t *testing.T, p *pair) {
	var unsent []transport.TxPacket
	for range 20 {
		ds := numbered(min(8, window(p.far, numbered(1, 200))), 200)
		pkts := unsent
		if len(pkts) < len(ds) {
			more := make([]transport.TxPacket, len(ds)-len(pkts))
			pkts = append(pkts, more[:p.near.Reserve(more)]...)
		}
		ds = ds[:min(len(ds), len(pkts))]
		for i := range pkts {
			pkts[i].Head = pkts[i].Head[:p.near.Caps().MaxPayload]
		}
		p.near.load(pkts, ds)
		p.near.push(pkts[:len(ds)])
		unsent = append(pkts[len(ds):], p.near.reserveAll()...)
		for _, pkt := range unsent {
			scrawl(pkt.Head)
		}
		got := p.far.receive(len(ds))
		requireSame(t, ds, contents(got))
		p.far.Release(got)
	}
}

// allBuffersComeBack from packets that arrived, that were too large, and that
// nobody received.
func allBuffersComeBack(t *testing.T, p *pair) {
	lent := p.near.reserveAll()
	all := len(lent)
	const size = 100
	tooMuch := make([]byte, p.near.Caps().MaxPayload)
	fit := window(p.far, numbered(1, size))
	for round := range 4 {
		for len(lent) > 0 {
			n := min(len(lent), fit)
			arrive := 0
			for i := range lent[:n] {
				lent[i].Route = p.near.peer
				lent[i].Head = lent[i].Head[:size]
				if lent[i].Payload = nil; (i+round)%3 == 0 {
					lent[i].Payload = tooMuch
				} else {
					arrive++
				}
			}
			p.near.push(lent[:n])
			p.far.Release(p.far.receive(arrive))
			lent = lent[n:]
		}
		for late := expires(); ; {
			lent = append(lent, p.near.reserveAll()...)
			if len(lent) >= all {
				break
			}
			require.False(t, late(), "%d of %d buffers came back: what Send took belongs to the backend again", len(lent), all)
			p.near.nudge()
			p.near.wait(10 * time.Millisecond)
		}
	}
}
