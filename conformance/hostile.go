package conformance

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

func canInject(f Factory, _, _ transport.Caps) bool { return f.Inject != nil }

// garbageArrivesWholeOrIsCounted injects datagrams of every magnitude up to the
// largest that UDP has.
func garbageArrivesWholeOrIsCounted(t *testing.T, p *pair) {
	const largest = 65507
	random := rand.New(rand.NewPCG(7, 8))
	most := p.far.Caps().MaxPayload
	sizes := []int{0, 1, 2, most - 1, most, most + 1, 1471, 1472, 1473, 8972, 8973, 65000, largest - 1, largest}
	for range 100 {
		sizes = append(sizes, random.IntN(most+1), random.IntN(largest+1))
	}
	for _, size := range sizes {
		garbage := make([]byte, size)
		for i := range garbage {
			garbage[i] = byte(random.Uint32())
		}
		before := drops(p.far.Stats())
		if p.f.Inject(dialable(p.far), garbage) != nil {
			continue
		}
		rx := make([]transport.RxPacket, 1)
		for late := expires(); ; {
			if n := p.far.recv(rx); n == 1 {
				require.True(t, string(garbage) == string(rx[0].Data),
					"truncated datagrams are dropped: of %d bytes came %d", size, len(rx[0].Data))
				p.far.Release(rx)
				break
			}
			if drops(p.far.Stats()) > before {
				require.Greater(t, size, most, "up to MaxPayload nothing is dropped: %+v", p.far.Stats())
				break
			}
			require.False(t, late(), "a datagram of %d bytes neither arrived nor was counted: %+v", size, p.far.Stats())
			p.far.wait(10 * time.Millisecond)
		}
	}
	requireCarried(p.near, p.far, numbered(100, 100), 30)
	requireCarried(p.far, p.near, numbered(100, 100), 30)
}
