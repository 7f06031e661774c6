package packet

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/peregrine-rpc/peregrine/wire"
)

// Every packet number is new once; what an acknowledgement says arrived did
// arrive; and what arrived within its reach it says.
func TestReceivedAgreesWithASet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom([]uint64{1, 60, 1<<32 - 200, 1<<40 - 7}).Draw(t, "base")
		var r received
		if base > 1 {
			r.next = base
			r.floor = [2]uint64{base, base}
		}
		seen := map[uint64]bool{}
		top := base
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				if r.next == 0 || len(seen) == 0 {
					continue
				}
				floor := r.floor[0]
				var a wire.AckBlock
				r.report(&a, 0)
				require.LessOrEqual(t, a.Words, uint8(wire.MaxAckWords-1))
				require.NotZero(t, a.Words)
				largest := expand(a.Largest, r.next)
				require.Equal(t, r.next-1, largest)
				require.NotZero(t, a.Bitmap[0]>>63, "the largest")
				for i := range uint64(a.Words) * 64 {
					if i > largest {
						break
					}
					said := a.Bitmap[i/64]&(1<<(63-i%64)) != 0
					require.Equal(t, seen[largest-i], said, "packet %d", largest-i)
				}
				unsaid := largest + 1 - min(floor, largest+1)
				require.GreaterOrEqual(t, uint64(a.Words)*64, min(unsaid, receiveSpan, largest), "says at least what the last but one did not")
			default:
				var n uint64
				if rapid.Bool().Draw(t, "ahead") {
					n = top + rapid.Uint64Range(0, 150).Draw(t, "by")
				} else {
					n = top - min(top-1, rapid.Uint64Range(0, 600).Draw(t, "behind"))
				}
				if n < base {
					continue // before the world began
				}
				low := uint32(n)
				require.Equal(t, n, expand(low, max(r.next, base)))
				fresh := r.add(n)
				if n+receiveSpan < r.next && n < top {
					require.False(t, fresh, "too old to tell")
					continue
				}
				require.Equal(t, !seen[n], fresh, "packet %d, largest %d", n, top)
				seen[n] = true
				top = max(top, n)
			}
		}
	})
}

func TestExpandFindsTheNearestNumber(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		low  uint32
		near uint64
		want uint64
	}{
		{1, 0, 1},
		{0, 1 << 32, 1 << 32},
		{5, 1<<32 - 5, 1<<32 + 5},
		{1<<32 - 5, 1<<32 + 5, 1<<32 - 5},
		{1<<32 - 1, 1 << 33, 1<<33 - 1},
	} {
		require.Equal(t, c.want, expand(c.low, c.near))
	}
	require.False(t, new(received).add(expand(1<<32-1, 0)), "before the first")
}
