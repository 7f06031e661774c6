package netstack

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// The vectors are those of Microsoft's "Verifying the RSS Hash Calculation".
func TestToeplitzIsTheHashOfDevices(t *testing.T) {
	t.Parallel()
	key, err := hex.DecodeString("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")
	require.NoError(t, err)
	for _, v := range []struct {
		from, to string
		hash     uint32
	}{
		{"66.9.149.187:2794", "161.142.100.80:1766", 0x51ccc178},
		{"199.92.111.2:14230", "65.69.140.83:4739", 0xc626b0ea},
		{"24.19.198.95:12898", "12.22.207.184:38024", 0x5c2b394a},
		{"38.27.205.30:48228", "209.142.163.6:2217", 0xafc7327f},
		{"153.39.163.191:44251", "202.188.127.2:1303", 0x10e828a2},
		{"[3ffe:2501:200:1fff::7]:2794", "[3ffe:2501:200:3::1]:1766", 0x40207d3d},
		{"[3ffe:501:8::260:97ff:fe40:efab]:14230", "[ff02::1]:4739", 0xdde51bbf},
		{"[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251", "[fe80::200:f8ff:fe21:67cf]:38024", 0x02d1feef},
	} {
		require.Equal(t, v.hash, Toeplitz(key)(netip.MustParseAddrPort(v.from), netip.MustParseAddrPort(v.to)), "%s to %s", v.from, v.to)
	}
}

func TestAKeyOfRepeatedPairsHashesBothDirectionsAlike(t *testing.T) {
	t.Parallel()
	key := make([]byte, 40)
	for i := range key {
		key[i] = [2]byte{0x6d, 0x5a}[i%2]
	}
	a, b := netip.MustParseAddrPort("10.0.0.1:5000"), netip.MustParseAddrPort("10.0.0.2:6000")
	hash := Toeplitz(key)
	require.Equal(t, hash(a, b), hash(b, a))
	require.NotEqual(t, hash(a, b), hash(a, netip.MustParseAddrPort("10.0.0.2:6001")))
}

// The vectors are what Amazon's script says (amzn-ec2-ena-utilities, ena-toeplitz of May 2026), of a
// device whose key cannot be set, and of one that was given this key by DPDK.
func TestENAHashesAsAmazonSays(t *testing.T) {
	t.Parallel()
	key, err := hex.DecodeString("77d1c934a4c9bd876e35dd17b2e3239e396d8a932a95b4723ab37f568edeb60197af3b2f3a70e704")
	require.NoError(t, err)
	for _, v := range []struct {
		from, to   string
		fixed, set uint32
	}{
		{"1.2.3.4:7000", "1.2.3.5:7000", 0x50705070, 0xa9828bd4},
		{"10.0.1.8:31850", "10.0.1.7:49152", 0x03cd03cd, 0xa4f4c416},
		{"10.0.1.7:49152", "10.0.1.8:31850", 0x03cd03cd, 0x36745e17},
		{"172.31.200.9:65535", "10.0.0.1:1", 0x09160916, 0x43265ffd},
		{"192.168.1.1:1", "192.168.1.1:65535", 0x15dd15dd, 0xfc86c5b8},
	} {
		from, to := netip.MustParseAddrPort(v.from), netip.MustParseAddrPort(v.to)
		require.Equal(t, v.fixed, ENA(from, to), "%s to %s", from, to)
		require.Equal(t, v.set, Toeplitz(key)(from, to), "%s to %s", from, to)
	}
}

func TestASourcePortLeadsToItsQueueUnderENAsOwnHash(t *testing.T) {
	t.Parallel()
	table := make([]uint16, 128)
	for i := range table {
		table[i] = uint16(i % 8)
	}
	for _, ends := range [][2]string{{"10.0.1.7", "10.0.1.8:31850"}, {"fd00::9", "[fd00::8]:31850"}} {
		own, peer := netip.MustParseAddr(ends[0]), netip.MustParseAddrPort(ends[1])
		for queue := range 8 {
			port, ok := SourcePort(ENA, table, queue, own, peer, func(uint16) bool { return true })
			require.True(t, ok)
			there, back := netip.AddrPortFrom(own, port), peer
			require.Equal(t, queue, int(table[ENA(back, there)%128]))
			require.Equal(t, ENA(back, there), ENA(there, back), "both directions are alike")
		}
	}
}
