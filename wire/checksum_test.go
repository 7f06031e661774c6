package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

// sealed is a datagram of size bytes with a checksum.
func sealed(size int) []byte {
	b := make([]byte, size)
	h := wire.Header{Flags: wire.FlagChecksum, Connection: 7, Token: 0xFEE1DE4D, Number: 42}
	for i := h.Put(b); i < size; i++ {
		b[i] = byte(i * 7)
	}
	wire.Seal(b, nil)
	return b
}

func TestEverySingleBitFlipIsDetected(t *testing.T) {
	t.Parallel()
	for _, size := range []int{wire.HeaderSize + wire.ChecksumSize, 21, 64, 1472} {
		b := sealed(size)
		require.NoError(t, wire.Verify(b))
		for i := range b {
			for bit := range 8 {
				b[i] ^= 1 << bit
				require.ErrorIs(t, wire.Verify(b), wire.ErrChecksum, "byte %d, bit %d", i, bit)
				b[i] ^= 1 << bit
			}
		}
		require.NoError(t, wire.Verify(b))
	}
}

func TestALentPayloadIsSealedLikeACopiedOne(t *testing.T) {
	t.Parallel()
	whole := sealed(300)
	for cut := wire.HeaderSize + wire.ChecksumSize; cut <= len(whole); cut++ {
		head := append([]byte(nil), whole[:cut]...)
		clear(head[wire.HeaderSize:][:wire.ChecksumSize])
		wire.Seal(head, whole[cut:])
		require.Equal(t, whole[:cut], head)
	}
}

func TestAskingForAnAcknowledgementIsSealedToo(t *testing.T) {
	t.Parallel()
	b := sealed(40)
	b[2] |= wire.FlagAckNow
	require.ErrorIs(t, wire.Verify(b), wire.ErrChecksum)
	wire.Seal(b, nil)
	require.NoError(t, wire.Verify(b))

	var h wire.Header
	_, err := h.Parse(b)
	require.NoError(t, err)
	require.Equal(t, uint8(wire.FlagChecksum|wire.FlagAckNow), h.Flags)
}
