package conformance

import (
	"math"
	"net/netip"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// routesComeAndGo uses other ports of the far side's address, so that any
// backend has a way there.
func routesComeAndGo(t *testing.T, p *pair) {
	to := dialable(p.far)
	cycle := func() {
		var held []transport.Route
		distinct := make(map[transport.Route]bool)
		for i := range 100 {
			r, err := p.near.Resolve(netip.AddrPortFrom(to.Addr(), uint16(1+i)), netip.Addr{})
			require.NoError(t, err, "Resolve never blocks, and fails for good reason only")
			held = append(held, r)
			distinct[r] = true
		}
		require.Len(t, distinct, len(held), "a Route is one destination's as long as it is held")
		require.False(t, distinct[p.near.peer], "a Route is one destination's as long as it is held")
		for _, r := range held {
			p.near.Forget(r)
		}
	}
	cycle()
	const most = 128 << 10
	growth := int64(math.MaxInt64)
	for try := 0; try < 3 && growth >= most; try++ { // the heap is the whole process's
		before := heap()
		for range 100 {
			cycle()
		}
		growth = min(growth, heap()-before)
	}
	require.Less(t, growth, int64(most), "Forget gives back a Route: bytes of heap after 10,000 of them")
	requireCarried(p.near, p.far, numbered(10, 100), 10)
}

// heap is the bytes in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func forgettingARouteStopsNothing(t *testing.T, p *pair) {
	usual := p.near.peer
	defer func() { p.near.peer = usual }()
	for range 100 {
		ds := numbered(min(20, window(p.far, numbered(1, 500))), 500)
		for i := range ds {
			ds[i].head /= 2
		}
		p.near.peer = p.near.resolve(p.far)
		p.near.send(ds...)
		p.near.Forget(p.near.peer)
		// Another route may have its place at once.
		to := dialable(p.far)
		other, err := p.near.Resolve(netip.AddrPortFrom(to.Addr(), to.Port()^1), netip.Addr{})
		require.NoError(t, err)
		got := p.far.receive(len(ds))
		requireSame(t, ds, contents(got))
		p.far.Release(got)
		p.near.Forget(other)
	}
}

func mayLeave(f Factory, _, _ transport.Caps) bool { return !f.Stays }

func nobodyAtARouteIsNoError(t *testing.T, p *pair) {
	require.NoError(t, p.far.Close())
	for range 20 {
		p.near.send(numbered(10, 50)...)
		require.Zero(t, p.near.recv(make([]transport.RxPacket, 1)))
		p.near.wait(0)
	}
	p.near.requireCompleted(p.near.taken)

	p.reopen(Far)
	requireCarried(p.near, p.far, numbered(10, 50), 10)
}
