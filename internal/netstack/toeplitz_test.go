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
		require.Equal(t, v.hash, Toeplitz(key, netip.MustParseAddrPort(v.from), netip.MustParseAddrPort(v.to)), "%s to %s", v.from, v.to)
	}
}

func TestAKeyOfRepeatedPairsHashesBothDirectionsAlike(t *testing.T) {
	t.Parallel()
	key := make([]byte, 40)
	for i := range key {
		key[i] = [2]byte{0x6d, 0x5a}[i%2]
	}
	a, b := netip.MustParseAddrPort("10.0.0.1:5000"), netip.MustParseAddrPort("10.0.0.2:6000")
	require.Equal(t, Toeplitz(key, a, b), Toeplitz(key, b, a))
	require.NotEqual(t, Toeplitz(key, a, b), Toeplitz(key, a, netip.MustParseAddrPort("10.0.0.2:6001")))
}
