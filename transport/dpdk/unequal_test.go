//go:build dpdk

package dpdk

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

// unequal is a wire of which DPDK's end carries more than the kernel's.
func unequal(t *testing.T, name, args string, mtu int, ips ...string) link {
	t.Helper()
	near, far := split(ips)
	w := wired(t, name, far...)
	narrow, err := netlink.LinkByName(w.kernel)
	require.NoError(t, err)
	require.NoError(t, netlink.LinkSetMTU(narrow, 1400))
	c := testConfig(w.device+args, near...)
	c.MTU = mtu
	return link{near: c.opener(), far: kernelAt(far[0])}
}

// requireUnblocked sends what the far end does not take, and then what it does.
func requireUnblocked(t *testing.T, near, far transport.Transport) {
	t.Helper()
	route, err := near.Resolve(far.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	for round := range 3 {
		for _, size := range []int{1450, 100} {
			p := []transport.TxPacket{{Route: route}}
			transporttest.Within(t, func() bool { return near.Reserve(p) == 1 })
			p[0].Payload = make([]byte, size)
			p[0].Head = p[0].Head[:0]
			n, err := near.Send(p)
			require.NoError(t, err)
			require.Equal(t, 1, n, "round %d", round)
		}
		transporttest.Within(t, func() bool { return take(t, far) > 0 })
	}
}

func TestAFarEndThatCarriesLessBlocksNothing(t *testing.T) {
	near, far := openBoth(t, unequal(t, "less", "", 0, "10.14.0.1/24", "10.14.0.2/24"))
	require.Equal(t, 1400-headers4, near.Caps().MaxPayload, "the far end's MTU counts")
	requireUnblocked(t, near, far)
}

func TestAQueueingDisciplineKeepsWhatAFarEndRefusesFromBlocking(t *testing.T) {
	l := unequal(t, "qdisc", ",qdisc_bypass=0", 1500, "10.15.0.1/24", "10.15.0.2/24")
	near, err := l.near(0)
	require.NoError(t, err)
	require.Contains(t, strings.Join(near.Caps().Notes, "\n"), "run tc qdisc replace dev qdiscd root pfifo")
	require.NoError(t, near.Close())

	wide, err := netlink.LinkByName("qdiscd")
	require.NoError(t, err)
	require.NoError(t, netlink.QdiscReplace(&netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: wide.Attrs().Index, Parent: netlink.HANDLE_ROOT},
		QdiscType:  "pfifo",
	}))
	near, far := openBoth(t, l)
	require.NotContains(t, strings.Join(near.Caps().Notes, "\n"), "tc qdisc")
	requireUnblocked(t, near, far)
}
