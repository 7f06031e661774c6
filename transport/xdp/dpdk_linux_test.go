//go:build dpdk

package xdp

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/peregrine-rpc/peregrine/conformance"
	"github.com/peregrine-rpc/peregrine/internal/netns"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/dpdk"
)

// DPDK's packet socket (net_af_packet) is at the far end, in our own namespace: EAL
// knows no other. The kernel has no address there.
func TestConformanceWithDPDK(t *testing.T) {
	for _, m := range []string{"native", "generic"} {
		t.Run(m, func(t *testing.T) {
			const own, other = "10.9.0.1/24", "10.9.0.2/24"
			near, far := netns.Port{Name: "near", Addresses: []netip.Prefix{netip.MustParsePrefix(own)}}, netns.Port{Name: "far"}
			require.NoError(t, netns.Veth(1500, near, far))
			t.Cleanup(func() {
				pair, err := netlink.LinkByName("near")
				require.NoError(t, err)
				require.NoError(t, netlink.LinkDel(pair))
			})
			conformance.Transport(t, conformance.Factory{
				Open: func(s conformance.Side, addr netip.AddrPort) (transport.Transport, error) {
					if s == conformance.Near {
						c := (side{name: "near"}).config()
						c.Port, c.Mode = addr.Port(), m
						return Open(c, 0, 1)
					}
					c := dpdk.DefaultConfig()
					c.Device, c.IP, c.Port = "net_af_packet0,framecnt=1024,iface=far", []string{other}, addr.Port()
					c.Memory, c.Buffers, c.Hugepages = 256, 1024, "off"
					return dpdk.Open(c, 0, 1)
				},
			})
		})
	}
}
