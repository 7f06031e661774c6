package packet

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/peregrine-rpc/peregrine/wire"
)

// Every packet number is new once; what an acknowledgement says arrived did arrive;
// what arrived within its reach it says; and each packet is in the next two.
func TestReceivedAgreesWithASet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom([]uint64{1, 60, 1<<32 - 200, 1<<40 - 7}).Draw(t, "base")
		var r received
		if base > 1 {
			r.next = base
			r.floor = [2]uint64{base, base}
		}
		seen, owed := map[uint64]bool{}, map[uint64]int{}
		top := base
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				if r.next == 0 || len(seen) == 0 {
					continue
				}
				var a wire.AckBlock
				b := make([]byte, wire.AckFixedSize+8*wire.MaxAckWords)
				words := r.words()
				require.Equal(t, wire.AckSize(words), r.report(b, words, 0))
				a.Parse(words, b)
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
				for n, times := range owed {
					if n+receiveSpan <= largest {
						delete(owed, n)
						continue
					}
					require.Less(t, largest-n, uint64(a.Words)*64, "packet %d, of %d", n, largest)
					if owed[n] = times - 1; times == 1 {
						delete(owed, n)
					}
				}
			default:
				var n uint64
				if rapid.Bool().Draw(t, "ahead") {
					n = top + rapid.SampledFrom([]uint64{0, 1, 2, 63, 64, 65, 150, 383, 384, 447, 448, 449, 512, 513, 1000, 1 << 20}).Draw(t, "by")
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
				if fresh {
					owed[n] = 2
				}
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
}

// Of packets that came in bulk a third report is left where two were lost.
func TestABlockThatTravelsAloneReachesFurtherBack(t *testing.T) {
	t.Parallel()
	var r received
	block := make([]byte, 256)
	n := uint64(1)
	require.EqualValues(t, 1, func() uint8 { r.add(n); return r.wordsAlone() }(), "no further than to the first")
	for range 3 {
		for range ackEvery {
			n++
			r.add(n)
		}
		words := r.wordsAlone()
		require.LessOrEqual(t, uint64(words), (n+63)/64+1)
		r.report(block, words, 0)
	}
	require.GreaterOrEqual(t, 64*int(r.wordsAlone()), 3*ackEvery)
	for range 100 * ackEvery {
		n += 2
		r.add(n)
	}
	require.EqualValues(t, receiveSpan/64, r.wordsAlone())
}
