package conformance

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

func batchesOfEverySizeArrive(_ *testing.T, p *pair) {
	for n := 1; n <= 2*p.near.Caps().TxBatch; n++ {
		requireCarried(p.near, p.far, numbered(n, 48), n)
	}
}

// batchesOfMixedSizesArrive has runs of equal size, which backends may send as
// one, end in every way: by a shorter packet, a longer one, an empty one, by
// another route or code point.
func batchesOfMixedSizesArrive(t *testing.T, p *pair) {
	most := min(p.near.Caps().MaxPayload, p.far.Caps().MaxPayload)
	sizes := []int{0, 1, 7, 7, 48, 48, 48, 511, 512, 513, 1000, 8000, 30000}
	random := rand.New(rand.NewPCG(1, 2))
	routes := []transport.Route{p.near.peer, p.near.resolve(p.far)}
	defer func() { p.near.Forget(routes[1]) }()
	for range 200 {
		ds := make([]datagram, 1+random.IntN(p.near.Caps().TxBatch))
		for i := range ds {
			size := min(most, sizes[random.IntN(len(sizes))])
			if i > 0 && random.IntN(3) > 0 {
				size = len(ds[i-1].bytes)
			}
			ds[i] = datagram{bytes: pattern(i, size), head: random.IntN(size + 1)}
			if random.IntN(8) == 0 {
				ds[i].ecn = transport.ECT0
			}
		}
		p.near.peer = routes[random.IntN(2)]
		requireCarried(p.near, p.far, ds, len(ds))
	}

	// Both routes in one batch.
	ds := numbered(8, 48)
	pkts := p.near.reserve(len(ds))
	p.near.load(pkts, ds)
	for i := range pkts {
		pkts[i].Route = routes[i/3%2]
	}
	p.near.push(pkts)
	got := p.far.receive(len(ds))
	requireSame(t, ds, contents(got))
	p.far.Release(got)
}

func contents(pkts []transport.RxPacket) [][]byte {
	data := make([][]byte, len(pkts))
	for i := range pkts {
		data[i] = pkts[i].Data
	}
	return data
}

func aSmallSliceTakesALargeBatchBitByBit(t *testing.T, p *pair) {
	for _, n := range []int{1, 3} {
		ds := numbered(min(30, window(p.far, numbered(1, 20))), 20)
		p.near.send(ds...)
		var got [][]byte
		for len(got) < len(ds) {
			pkts := p.far.receive(min(n, len(ds)-len(got)))
			for _, p := range pkts {
				got = append(got, append([]byte{}, p.Data...))
			}
			p.far.Release(pkts)
		}
		requireSame(t, ds, got)
	}
}

func emptyBatchesDoNothing(t *testing.T, p *pair) {
	require.Zero(t, p.near.Reserve(nil))
	n, err := p.near.Send(nil)
	require.NoError(t, err)
	require.Zero(t, n)
	p.near.send(headed([]byte("unread")))
	require.Zero(t, p.far.recv(nil))
	p.far.Release(nil)
	p.far.Release(p.far.receive(1))
}
