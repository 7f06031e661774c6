package xdp

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/peregrine-rpc/peregrine/conformance"
	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

// unsegmented has a kernel leave the cutting of what it sends to the other end, as it
// does unless it is told otherwise.
func (s side) unsegmented(t *testing.T) {
	t.Helper()
	s.set(t, func(link netlink.Link) error { return netlink.LinkSetGSOMaxSegs(link, 65535) })
}

// Many datagrams in one packet, whether that would fit a frame or not, arrive each for
// itself; so do those of several sizes, and lone ones.
func TestWhatAKernelLeavesToADeviceArrives(t *testing.T) {
	for _, m := range []string{"native", "generic"} {
		for _, mtu := range []int{1500, 9000} {
			t.Run(fmt.Sprint(m, " ", mtu), func(t *testing.T) {
				w := wired(t, mtu, "10.9.0.1/24", "10.9.0.2/24", "fd09::1/64", "fd09::2/64")
				w.near.unsegmented(t)
				far := opened(t, w.far.xdp(mode(m)))
				for i := range w.near.addrs {
					s := w.near
					s.addrs = s.addrs[i:]
					near := opened(t, s.udp)
					require.True(t, near.Caps().SegmentTx)
					at := addrPort(w.far.addrs[i], far)
					reaches(t, near, far, at)
					route, err := near.Resolve(at, near.LocalAddr().Addr())
					require.NoError(t, err)
					transporttest.Send(t, near, route, "last") // behind what reaches sent more than once
					transporttest.Within(t, func() bool {
						texts, _ := take(t, far)
						return slices.Contains(texts, "last")
					})
					for _, size := range []int{20, 100, 600, 1400} {
						before := far.Stats()
						want := transporttest.Numbered(40, size)
						transporttest.Send(t, near, route, want...)
						require.Equal(t, want, transporttest.Texts(t, far, len(want)), "of %d bytes", size)
						require.EqualValues(t, len(want), far.Stats().RxPackets-before.RxPackets)
						require.EqualValues(t, len(want)*size, far.Stats().RxBytes-before.RxBytes)
					}
				}
				requireCounted(t, far.(*queue))
			})
		}
	}
}

// Who holds all that there is memory for, and polls on, has the rest once it gives some back.
func TestWhatIsUnfinishedWaitsForMemory(t *testing.T) {
	w := wired(t, 1500, "10.9.0.1/24", "10.9.0.2/24")
	near, far := opened(t, w.near.udp), opened(t, w.far.xdp(mode("generic"))).(*queue)
	at := addrPort(w.far.addrs[0], far)
	reaches(t, near, far, at)
	route, err := near.Resolve(at, near.LocalAddr().Addr())
	require.NoError(t, err)
	pkts := make([]transport.RxPacket, 1)
	for !far.beside.full() {
		transporttest.Send(t, near, route, "held")
		transporttest.Within(t, func() bool { return received(t, far, pkts) == 1 })
	}
	transporttest.Send(t, near, route, "late")
	for range 2 * passedLooks {
		require.Zero(t, received(t, far, pkts))
	}
	far.Release(pkts)
	transporttest.Within(t, func() bool { return received(t, far, pkts) == 1 })
	require.Equal(t, "late", string(pkts[0].Data))
}

// received is how many datagrams a poll finds, of which the last stay in pkts.
func received(t *testing.T, tr transport.Transport, pkts []transport.RxPacket) int {
	t.Helper()
	n, err := tr.Recv(pkts)
	require.NoError(t, err)
	return n
}

func TestConformanceWithUnsegmentedSenders(t *testing.T) {
	for _, l := range []struct {
		name string
		long bool
		mtu  int
	}{{"udp to generic", false, 1500}, {"udp to generic, jumbo", true, 9000}} {
		if l.long && testing.Short() {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			w := wired(t, l.mtu, fourAddresses...)
			w.near.unsegmented(t)
			conformance.Transport(t, w.between(w.near.udp, w.far.xdp(mode("generic"))))
		})
	}
}

func TestConformanceOfRPCWithUnsegmentedSenders(t *testing.T) {
	if testing.Short() {
		t.Log("the transport's suite will do")
		return
	}
	w := wired(t, 1500, fourAddresses...)
	w.near.unsegmented(t)
	conformance.RPC(t, w.between(w.near.udp, w.far.xdp(mode("generic"))))
}
