//go:build dpdk

package dpdk

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
)

func TestAnswersToTheSourcePortArriveAtTheQueueThatChoseIt(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	key, err := c.rssKey()
	require.NoError(t, err)
	table := make([]uint16, 128)
	for i := range table {
		table[i] = uint16(i % 4)
	}
	own, peer := netip.MustParseAddr("10.0.1.7"), netip.MustParseAddrPort("10.0.1.8:31850")
	var taken portSet
	for range 10 {
		for queue := range 4 {
			port, ok := netstack.SourcePort(netstack.Toeplitz(key), table, queue, own, peer, taken.take)
			require.True(t, ok)
			hash := netstack.Toeplitz(key)(peer, netip.AddrPortFrom(own, port))
			require.Equal(t, queue, int(table[hash%128]))
			require.True(t, taken.has(port))
			require.False(t, taken.take(port), "no port is chosen twice")
		}
	}
}

func TestAPortApartIsNobodyElses(t *testing.T) {
	t.Parallel()
	var taken portSet
	const own, ports = 50000, 1<<16 - netstack.FirstPort - 1
	for range ports {
		port := taken.any(own)
		require.NotEqualValues(t, own, port)
		require.GreaterOrEqual(t, port, uint16(netstack.FirstPort))
	}
	require.EqualValues(t, own, taken.any(own), "there is none left")
	taken.drop(50001)
	require.EqualValues(t, 50001, taken.any(own))
}

func TestAQueueThatNoHashLeadsToGetsNoSourcePort(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	key, err := c.rssKey()
	require.NoError(t, err)
	var taken portSet
	_, ok := netstack.SourcePort(netstack.Toeplitz(key), []uint16{0}, 1, netip.MustParseAddr("10.0.1.7"), netip.MustParseAddrPort("10.0.1.8:31850"), taken.take)
	require.False(t, ok)
	for port := range 1 << 16 {
		require.False(t, taken.has(uint16(port)))
	}
}
