package xdp

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

var _ transport.UnreachableReporter = (*queue)(nil)

// The kernel receives the ICMP message, and its socket at our port is told.
func TestADatagramToAPortWhereNobodyListensComesBack(t *testing.T) {
	w := wired(t, 1500, "10.9.0.1/24", "10.9.0.2/24", "fd09::1/64", "fd09::2/64")
	near := opened(t, w.near.xdp(nil))
	for _, host := range []string{"10.9.0.2", "fd09::2"} {
		dead := netip.AddrPortFrom(netip.MustParseAddr(host), 4242)
		route, err := near.Resolve(dead, netip.Addr{})
		require.NoError(t, err)
		var u transport.Unreachable
		transporttest.Within(t, func() (ok bool) {
			send(t, near, route, "is anybody there?")
			require.NoError(t, near.Wait(10*time.Millisecond))
			_, _ = take(t, near)
			u, ok = near.(transport.UnreachableReporter).NextUnreachable()
			return ok
		})
		require.Equal(t, dead, u.To)
		require.ErrorIs(t, u.Err, syscall.ECONNREFUSED)
		require.Equal(t, "is anybody there?", string(u.Data))
		transporttest.Within(t, func() bool { // those of the other datagrams
			_, more := near.(transport.UnreachableReporter).NextUnreachable()
			return !more
		})
	}
}

func TestTheNewestReportsAreKept(t *testing.T) {
	t.Parallel()
	var n news
	for i := range 3 * maxReports {
		n.add(transport.Unreachable{Data: []byte{byte(i)}})
	}
	var r report
	heard := uint64(0)
	for i := 2 * maxReports; i < 3*maxReports; i++ {
		heard = n.next(heard, &r)
		require.Equal(t, byte(i), r.data[0])
	}
	require.Equal(t, n.count.Load(), heard)
}
