package conformance

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func aSenderIsKnownByItsAddress(t *testing.T, p *pair) {
	for _, way := range []struct{ from, to *end }{{p.near, p.far}, {p.far, p.near}} {
		local := way.from.LocalAddr()
		require.True(t, local.IsValid() && local.Port() != 0, "LocalAddr is the address that peers reach this queue by, not %v", local)

		way.from.send(headed([]byte("question")))
		pkts := way.to.receive(1)
		require.Equal(t, dialable(way.from), pkts[0].From, "From is the sender")

		back, err := way.to.Resolve(pkts[0].From, netip.Addr{})
		require.NoError(t, err, "a sender can be answered")
		way.to.Release(pkts)
		way.to.peer = back
		requireCarried(way.to, way.from, []datagram{headed([]byte("answer"))}, 1)
		require.Equal(t, local, way.from.LocalAddr(), "LocalAddr is constant")
	}
	require.NotEqual(t, dialable(p.near), dialable(p.far))
}

func noAddressIsRefused(t *testing.T, p *pair) {
	_, err := p.near.Resolve(netip.AddrPort{}, netip.Addr{})
	require.Error(t, err, "Resolve of what is no address is an error")
	requireCarried(p.near, p.far, numbered(1, 10), 1)
}
