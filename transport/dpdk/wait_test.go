//go:build dpdk

package dpdk

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

func TestWaitIsNotEndedByWhatIsNoDatagramOfOurs(t *testing.T) {
	l := toKernel(t, "wait", "10.11.0.1/24", "10.11.0.2/24")
	near, err := l.near(0)
	require.NoError(t, err)
	defer near.Close()
	far, err := l.far(0)
	require.NoError(t, err)
	defer far.Close()
	own := near.LocalAddr()
	send := func(to netip.AddrPort, text string) {
		route, err := far.Resolve(to, netip.Addr{})
		assert.NoError(t, err)
		p := []transport.TxPacket{{Route: route}}
		assert.Equal(t, 1, far.Reserve(p))
		p[0].Head = p[0].Head[:copy(p[0].Head, text)]
		n, err := far.Send(p)
		assert.NoError(t, err)
		assert.Equal(t, 1, n)
	}
	for range 3 {
		send(netip.AddrPortFrom(own.Addr(), own.Port()^1), "to somebody else")
	}
	sent := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() {
		defer close(sent)
		send(own, "to us")
	})
	defer func() { <-sent }()

	require.NoError(t, near.Wait(-1)) // also over the ARP requests of the first
	rx := make([]transport.RxPacket, 8)
	n, err := near.Recv(rx)
	require.NoError(t, err)
	require.Equal(t, 1, n, "Wait ended, so there is a datagram")
	require.Equal(t, "to us", string(rx[0].Data))
	near.Release(rx[:1])
}
