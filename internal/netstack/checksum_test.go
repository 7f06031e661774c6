package netstack

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTheSumIsThatOfRFC1071(t *testing.T) {
	t.Parallel()
	require.Equal(t, uint16(0xddf2), sum(0, []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7})) // section 3
	require.Equal(t, uint16(0), sum(0, nil))
	require.Equal(t, uint16(0xffff), sum(0, unhex(t, "45000073000040004011b861c0a80001c0a800c7")), "a header sums to -0")
}

func TestTheSumIsTheSlowOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x7f, 0x80, 0xfe, 0xff}), 0, 200).Draw(t, "bytes")
		part := rapid.Uint16().Draw(t, "part")
		cut := rapid.IntRange(0, len(b)/2).Draw(t, "cut") * 2
		require.Equal(t, slowSum(part, b), sum(uint32(part), b))
		require.Equal(t, slowSum(part, b), sum(uint32(sum(uint32(part), b[:cut])), b[cut:]), "in two parts")
	})
}

// slowSum follows the definition.
func slowSum(part uint16, b []byte) uint16 {
	s := uint64(part)
	for i, c := range b {
		s += uint64(c) << (8 * (1 - i%2))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func unhex(t testing.TB, text string) []byte {
	b, err := hex.DecodeString(text)
	require.NoError(t, err)
	return b
}

func BenchmarkSum(b *testing.B) {
	data := make([]byte, 9000)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	for _, size := range []int{20, 40, 68, 256, 1472, 8972} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				sum(0, data[:size])
			}
		})
	}
}
