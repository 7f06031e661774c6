package udpsock

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// The buffer of a burst is used again once as many datagrams are released.
func TestABurstHoldsAsManyDatagramsAsAreCutOfIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bytes, segment, packets int }{
		{0, 0, 1}, {1, 1, 1}, {1000, 1000, 1}, {1001, 1000, 2}, {2000, 1000, 2}, {2999, 1000, 3}, {999, 1000, 1},
	} {
		b := Burst{data: make([]byte, c.bytes), segment: c.segment, left: true}
		require.Equal(t, c.packets, b.Packets(), "%+v", c)
		n, bytes := b.Cut(make([]transport.RxPacket, 10))
		require.Equal(t, c.packets, n, "%+v", c)
		require.Equal(t, c.bytes, bytes)
		require.False(t, b.Left())
	}
}
