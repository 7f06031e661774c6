package conformance

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
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

func theAddressThatWasAskedAnswers(t *testing.T, p *pair) {
	usual := dialable(p.far)
	var asked []netip.AddrPort
	for _, addr := range append([]netip.Addr{usual.Addr()}, p.f.Also...) {
		asked = append(asked, netip.AddrPortFrom(addr, usual.Port()))
	}
	var backs []transport.Route
	for _, at := range asked {
		var err error
		p.near.peer, err = p.near.Resolve(at, netip.Addr{})
		require.NoError(t, err)
		greet(p.near, p.far)
		p.near.send(headed([]byte("question")))
		pkts := p.far.receive(1)
		to := pkts[0].To
		if !to.IsValid() {
			to = p.far.LocalAddr().Addr()
		}
		require.Equal(t, at.Addr(), to, "To is the address of this host that the sender used, where LocalAddr alone does not say")
		back, err := p.far.Resolve(pkts[0].From, pkts[0].To)
		require.NoError(t, err, "give it to Resolve to answer from it")
		backs = append(backs, back)
		p.far.Release(pkts)
		p.far.peer = back // whose neighbour may have to be found
		greet(p.far, p.near)
	}
	// Runs and single packets, in one batch.
	const each = 6
	pkts := p.far.reserve(each * len(backs))
	for i := range pkts {
		pkts[i].Route = backs[(i/3)%len(backs)]
		pkts[i].Head = pkts[i].Head[:copy(pkts[i].Head, pattern((i/3)%len(backs), 100))]
	}
	p.far.push(pkts)
	got := p.near.receive(len(pkts))
	for _, g := range got {
		require.Contains(t, asked, g.From, "packets leave from source")
		for i, at := range asked {
			if g.From == at {
				require.Equal(t, pattern(i, 100), g.Data, "packets leave from source: %v", at)
			}
		}
	}
	p.near.Release(got)
}

func aSourceOfAnotherHostIsRefused(t *testing.T, p *pair) {
	peer := dialable(p.near)
	stranger := netip.AddrFrom4([4]byte{198, 51, 100, 77}) // documentation only, RFC 5737
	if peer.Addr().Is6() {
		stranger = netip.MustParseAddr("2001:db8::77") // RFC 3849
	}
	_, err := p.far.Resolve(peer, stranger)
	require.Error(t, err, "an error is permanent: not an address of this host")
	requireCarried(p.near, p.far, numbered(1, 10), 1)
}
