package wire_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

// A number that was damaged on its way would be wrong for as long as the connection
// lasts, so it says what it is the number of.
func TestADamagedNumberIsNotTaken(t *testing.T) {
	t.Parallel()
	right := wire.AppendNumber(nil, "pkg.Service/Method", 0x1234)
	number, err := wire.ParseNumber(right, "pkg.Service/Method")
	require.NoError(t, err)
	require.Equal(t, uint16(0x1234), number)
	for bit := range 8 * len(right) {
		damaged := bytes.Clone(right)
		damaged[bit/8] ^= 1 << (bit % 8)
		_, err := wire.ParseNumber(damaged, "pkg.Service/Method")
		require.ErrorIs(t, err, wire.ErrChecksum)
	}
	_, err = wire.ParseNumber(right, "pkg.Service/Methoe")
	require.ErrorIs(t, err, wire.ErrChecksum, "the question was damaged")
	_, err = wire.ParseNumber(right[:5], "pkg.Service/Method")
	require.ErrorIs(t, err, wire.ErrLength)
}

// FuzzNumber checks that a response for a name that is taken is what its number
// encodes to.
func FuzzNumber(f *testing.F) {
	f.Add(wire.AppendNumber(nil, "a", 1), "a")
	f.Add(wire.AppendNumber(nil, "a", 1), "b")
	f.Add([]byte{}, "")
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		number, err := wire.ParseNumber(b, name)
		require.Equal(t, number, mustParse(t, wire.AppendNumber(nil, name, number), name))
		if err == nil {
			require.Equal(t, b, wire.AppendNumber(nil, name, number))
		}
	})
}

func mustParse(t *testing.T, b []byte, name string) uint16 {
	number, err := wire.ParseNumber(b, name)
	require.NoError(t, err)
	return number
}
