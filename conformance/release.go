package conformance

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

func viewsStayIntactUntilReleased(t *testing.T, p *pair) {
	random := rand.New(rand.NewPCG(3, 4))
	const size = 100
	hold := min(60, p.far.Caps().RxBuffers/4, window(p.far, numbered(1, size)))
	traffic := max(1, p.far.Caps().RxBuffers)
	for round := range 5 {
		want := numbered(hold, size-round)
		p.near.send(want...)
		held := p.far.receive(hold)
		requireCarried(p.near, p.far, numbered(traffic, size), 16)
		requireSame(t, want, contents(held))

		// In any order and grouping, with traffic between.
		random.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		for len(held) > 0 {
			n := min(len(held), 1+random.IntN(9))
			p.far.Release(held[:n])
			held = held[n:]
			requireCarried(p.near, p.far, numbered(3, size), 3)
			requireIn(t, want, contents(held))
		}
	}
}

// requireIn requires that each of got is in want.
func requireIn(t testing.TB, want []datagram, got [][]byte) {
	t.Helper()
	known := make(map[string]bool)
	for _, d := range want {
		known[string(d.bytes)] = true
	}
	for _, data := range got {
		require.True(t, known[string(data)], "a view stays valid until Release: %s", summary(data))
	}
}

func rxBuffersMayBeHeld(t *testing.T, p *pair) {
	want := numbered(p.far.Caps().RxBuffers, 40)
	var held []transport.RxPacket
	for i := range want {
		if p.near.offer(want[i:i+1]) == 0 {
			break // the sender's buffers are what is held
		}
		held = append(held, p.far.receive(1)...)
	}
	requireSame(t, want[:len(held)], contents(held))
	p.far.Release(held)
}

func aHoarderReceivesAgainOnceItReleases(t *testing.T, p *pair) {
	for range 2 {
		var held []transport.RxPacket
		one := make([]transport.RxPacket, 1)
		most := p.far.Caps().RxBuffers + 512
	hoard:
		for len(held) < most {
			if p.near.offer(numbered(1, 10)) == 0 {
				break
			}
			for range 3 {
				if p.far.recv(one) == 1 {
					held = append(held, one[0])
					continue hoard
				}
				p.far.wait(10 * time.Millisecond)
			}
			break
		}
		p.far.Release(held)
		p.drain()
		requireCarried(p.near, p.far, numbered(20, 100), 20)
	}
}
