package conformance

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

func everySizeArrivesWhole(t *testing.T, p *pair) {
	most := min(p.near.Caps().MaxPayload, p.far.Caps().MaxPayload)
	sizes := []int{0, most - 1, most}
	for size := 1; size < most; size *= 2 {
		sizes = append(sizes, size-1, size, size+1)
	}
	slices.Sort(sizes)
	for _, size := range slices.Compact(sizes) {
		requireCarried(p.near, p.far, numbered(3, size), 3)
		requireCarried(p.far, p.near, numbered(1, size), 1)
	}
}

func whatIsTooLargeIsDroppedAndCounted(t *testing.T, p *pair) {
	most := p.near.Caps().MaxPayload
	small := numbered(8, 10)
	before := p.near.Stats().TxTooLarge
	completed := p.near.taken
	for i, over := range []int{1, 2, 1000, 1 << 20} {
		// Between two that fit.
		pkts := p.near.reserve(3)
		p.near.load(pkts, []datagram{small[2*i], {bytes: pattern(0, most+over), head: most}, small[2*i+1]})
		p.near.push(pkts)
		completed += 3

		got := p.far.receive(2)
		requireSame(t, small[2*i:2*i+2], [][]byte{got[0].Data, got[1].Data})
		p.far.Release(got)
		require.Equal(t, uint64(i+1), p.near.Stats().TxTooLarge-before,
			"what is larger than MaxPayload is counted in TxTooLarge")
	}
	p.near.requireCompleted(completed)
	require.Zero(t, p.far.recv(make([]transport.RxPacket, 1)), "what is too large is dropped, not cut off")
}
