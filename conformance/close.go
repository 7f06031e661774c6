package conformance

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// closeEndsAWait closes from another goroutine, before, while and after the
// owner falls asleep.
func closeEndsAWait(t *testing.T, p *pair) {
	for i := range 20 {
		waited := make(chan error, 1)
		ready := make(chan struct{})
		go func() {
			close(ready)
			for {
				if err := p.near.Wait(-1); err != nil {
					waited <- err
					return
				}
			}
		}()
		<-ready
		time.Sleep(time.Duration(i%4) * time.Millisecond)
		require.NoError(t, p.near.Close())
		select {
		case err := <-waited:
			require.ErrorIs(t, err, transport.ErrClosed, "Wait returns ErrClosed")
		case <-time.After(patience):
			require.Fail(t, "Close ends a Wait: it is still blocking after "+patience.String())
		}
		p.near = p.open(Near, netip.AddrPort{})
	}
}

// closeWithEverythingInHand closes either side first, with buffers reserved,
// views held, datagrams unread, and sends under way.
func closeWithEverythingInHand(t *testing.T, p *pair) {
	for i := range 6 {
		first, second := p.near, p.far
		if i%2 == 1 {
			first, second = second, first
		}
		for _, e := range []*end{first, second} {
			e.send(numbered(4, 1000)...)
		}
		held := first.receive(2)
		first.reserve(3)
		require.NoError(t, first.Close())
		require.NoError(t, first.Close(), "closing twice is no error")
		first.Release(held) // late, and harmless

		// The other one notices nothing but silence. What it has not received yet
		// may be lost, as on any network.
		rx := make([]transport.RxPacket, 3)
		second.Release(rx[:second.recv(rx)])
		second.send(numbered(3, 10)...)
		require.NoError(t, second.Close())

		p.begin()
	}
	requireCarried(p.near, p.far, numbered(10, 100), 10)
}

func afterCloseEveryMethodSaysSo(t *testing.T, p *pair) {
	p.far.send(numbered(2, 10)...)
	held := p.near.receive(1)
	lent := p.near.reserve(1)
	before, caps, local := p.near.Stats(), p.near.Caps(), p.near.LocalAddr()
	completed := p.near.Completed()
	require.NoError(t, p.near.Close())

	defer p.near.unstick("returned after Close")()
	for range 2 {
		const says = "returned after Close"
		_, err := p.near.Resolve(dialable(p.far), netip.Addr{})
		require.ErrorIs(t, err, transport.ErrClosed, says)
		n, err := p.near.Send(lent)
		require.ErrorIs(t, err, transport.ErrClosed, says)
		require.Zero(t, n)
		n, err = p.near.Recv(make([]transport.RxPacket, 4))
		require.ErrorIs(t, err, transport.ErrClosed, says)
		require.Zero(t, n)
		require.ErrorIs(t, p.near.Wait(-1), transport.ErrClosed, says)
		require.ErrorIs(t, p.near.Wait(0), transport.ErrClosed, says)
		require.ErrorIs(t, p.near.Wait(time.Millisecond), transport.ErrClosed, says)
		require.Zero(t, p.near.Reserve(make([]transport.TxPacket, 4)))

		p.near.Wake()
		p.near.Release(held)
		held = nil
		p.near.Forget(p.near.peer)
		require.GreaterOrEqual(t, p.near.Completed(), completed)
		require.GreaterOrEqual(t, p.near.Stats().RxPackets, before.RxPackets, "Stats are kept")
		require.Equal(t, caps, p.near.Caps(), "Caps are constant")
		require.Equal(t, local, p.near.LocalAddr(), "LocalAddr is constant")
		require.NoError(t, p.near.Close(), "closing twice is no error")
	}
}

func anyoneMayCloseAndWakeAtOnce(t *testing.T, p *pair) {
	for range 10 {
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for range 100 {
					p.near.Wake()
					_ = p.near.Stats()
				}
			})
			all.Go(func() { assert.NoError(t, p.near.Close(), "closing twice is no error") })
		}
		stop := p.near.unstick("Close ends a Wait")
		for p.near.Wait(-1) == nil {
		}
		all.Wait()
		stop()
		p.near = p.open(Near, netip.AddrPort{})
	}
}

// anAddressIsFreeOnceClosed restarts one side after the other, and the routes
// to it, like the sender's address, stay good.
func anAddressIsFreeOnceClosed(t *testing.T, p *pair) {
	for i := range 10 {
		side := [...]Side{Near, Far}[i%2]
		address := (*p.at(side)).LocalAddr()
		require.NoError(t, (*p.at(side)).Close())
		p.reopen(side)
		require.Equal(t, address, (*p.at(side)).LocalAddr(), "the factory opens at the address asked for")
		requireCarried(p.near, p.far, numbered(10, 100), 10)
		requireCarried(p.far, p.near, numbered(10, 100), 10)
	}
}
