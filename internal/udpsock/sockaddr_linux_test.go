package udpsock

import (
	"net/netip"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestALinkLocalPeerKeepsItsZone(t *testing.T) {
	t.Parallel()
	lo, err := scopeOf("lo")
	require.NoError(t, err)
	a, err := MakeSockaddr(netip.MustParseAddrPort("[fe80::1%lo]:9"), true)
	require.NoError(t, err)
	require.Equal(t, lo, a.Scope_id)
	b, err := MakeSockaddr(netip.MustParseAddrPort("[fe80::1%"+strconv.Itoa(int(lo))+"]:9"), true)
	require.NoError(t, err)
	require.Equal(t, a, b, "a zone is a name or a number")
	require.Equal(t, netip.MustParseAddrPort("[fe80::1%lo]:9"), a.AddrPort(Zones{}))
	b.Scope_id = 1 << 30
	require.Equal(t, netip.MustParseAddrPort("[fe80::1%1073741824]:9"), b.AddrPort(Zones{}))

	s := opened(t, "[::]:0")
	_, err = s.Resolve(netip.MustParseAddrPort("[fe80::1%nosuch0]:9"), netip.Addr{})
	require.ErrorContains(t, err, `zone "nosuch0" is no interface`)
}

// FuzzSockaddr encodes addresses as the kernel has them, and back.
func FuzzSockaddr(f *testing.F) {
	for _, addr := range []string{"192.0.2.1:31850", "[2001:db8::1]:1", "[fe80::1%7]:65535", "[::ffff:192.0.2.1]:0", "[::]:9"} {
		f.Add(netip.MustParseAddrPort(addr).Addr().AsSlice(), uint16(7), uint32(0))
	}
	f.Add(netip.MustParseAddr("fe80::1").AsSlice(), uint16(7), uint32(4_000_000_000))
	f.Fuzz(func(t *testing.T, ip []byte, port uint16, scope uint32) {
		addr, ok := netip.AddrFromSlice(ip)
		if !ok {
			return
		}
		addr = addr.Unmap()
		// The names of interfaces are this host's; the zone is in the cache.
		known := Zones{scope: "7"}
		for _, ipv6 := range []bool{false, true} {
			if !ipv6 && !addr.Is4() {
				continue
			}
			encoded, err := MakeSockaddr(netip.AddrPortFrom(addr, port), ipv6)
			require.NoError(t, err)
			require.Equal(t, addr.Is4(), encoded.IsIPv4())
			require.Equal(t, netip.AddrPortFrom(addr, port), encoded.AddrPort(known))
			if addr.Is6() && scope != 0 {
				encoded.Scope_id = scope
				require.Equal(t, netip.AddrPortFrom(addr.WithZone("7"), port), encoded.AddrPort(known))
			}
		}
	})
}
