//go:build dpdk

package dpdk

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/peregrine-rpc/peregrine/conformance"
	"github.com/peregrine-rpc/peregrine/transport"
)

// tap joins a net_tap device, which makes an interface, and plain UDP on that.
func tap(t *testing.T, name string, ips ...string) link {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a tap interface takes root")
	}
	near, far := split(ips)
	open := testConfig("net_tap_"+name+",iface="+name, near...).opener()
	return link{
		near: func(port uint16) (transport.Transport, error) {
			tr, err := open(port)
			if err != nil {
				return nil, err
			}
			made, err := netlink.LinkByName(name)
			require.NoError(t, err)
			for _, ip := range far {
				prefix := netip.MustParsePrefix(ip)
				require.NoError(t, netlink.AddrAdd(made, &netlink.Addr{IPNet: &net.IPNet{
					IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
				}}))
			}
			require.NoError(t, netlink.LinkSetUp(made))
			return tr, nil
		},
		far:        kernelAt(far[0]),
		order:      conformance.NearHosts,
		inject:     injectWhole,
		farRefuses: true,
	}
}

func TestConformanceOverATap(t *testing.T) {
	conformance.Transport(t, tap(t, "pgt", "10.13.0.1/24", "10.13.0.2/24").factory())
}
