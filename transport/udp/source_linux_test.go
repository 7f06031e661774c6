package udp

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
)

func TestAWildcardAnswersFromTheAddressThatWasAsked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ server, asked string }{
		{"0.0.0.0:0", "127.0.0.1"},
		{"0.0.0.0:0", "127.0.0.2"},
		{"0.0.0.0:0", "127.20.30.40"},
		{"[::]:0", "127.0.0.2"},
		{"[::]:0", "::1"},
		{":0", "127.0.0.2"},
	} {
		t.Run(c.server+" asked at "+c.asked, func(t *testing.T) {
			t.Parallel()
			server, client := opened(t, c.server), opened(t, ":0")
			asked := netip.MustParseAddr(c.asked)
			at := netip.AddrPortFrom(asked, server.LocalAddr().Port())
			r, err := client.Resolve(at, netip.Addr{})
			require.NoError(t, err)
			transporttest.Send(t, client, r, "question")
			got := transporttest.Receive(t, server, 1)
			require.Equal(t, asked, got[0].To)
			back, err := server.Resolve(got[0].From, got[0].To)
			require.NoError(t, err)
			server.Release(got)

			// A run is one send, and each of its packets leaves from there.
			calls := server.Stats().TxCalls
			transporttest.Send(t, server, back, transporttest.Numbered(30, 100)...)
			require.Equal(t, calls+1, server.Stats().TxCalls)
			got = transporttest.Receive(t, client, 30)
			for _, p := range got {
				require.Equal(t, at, p.From)
			}
			client.Release(got)
		})
	}
}

func TestASourceOfAnotherHostIsRefused(t *testing.T) {
	t.Parallel()
	peer := netip.MustParseAddrPort("127.0.0.1:9")
	for _, c := range []struct{ local, source, says string }{
		{"0.0.0.0:0", "198.51.100.1", "no address of this host"},
		{"[::]:0", "198.51.100.1", "no address of this host"},
		{"[::]:0", "::1", "different families"},
		{"[::]:0", "fe80::1%nosuch0", "different families"},
		{"127.0.0.1:0", "127.0.0.2", "is not the address of this transport"},
	} {
		_, err := opened(t, c.local).Resolve(peer, netip.MustParseAddr(c.source))
		require.ErrorContains(t, err, c.says, "%v", c)
	}
	_, err := opened(t, "127.0.0.1:0").Resolve(peer, netip.MustParseAddr("127.0.0.1"))
	require.NoError(t, err)
	_, err = opened(t, "[::]:0").Resolve(netip.MustParseAddrPort("[::1]:9"), netip.MustParseAddr("fe80::1%nosuch0"))
	require.ErrorContains(t, err, "no interface of this host")
}

func TestASocketOfOneAddressDoesNotSayWhichWasAsked(t *testing.T) {
	t.Parallel()
	a, b := opened(t, "127.0.0.1:0"), opened(t, "127.0.0.1:0")
	transporttest.Send(t, a, transporttest.To(t, a, b), "hello")
	got := transporttest.Receive(t, b, 1)
	require.Zero(t, got[0].To)
	b.Release(got)
}
