package netstack

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Frames that two Linux stations exchanged over a veth pair. 02:00:00:00:00:01 has 10.9.8.1 and fd00:9::1, the other
// one has 2. Checksum offload was off, DF and ECN set by socket options.
var (
	kernelARPRequest = linux("ffffffffffff 020000000001 0806 0001080006040001" +
		"020000000001 0a090801 000000000000 0a090802")
	kernelARPReply = linux("020000000001 020000000002 0806 0001080006040002" +
		"020000000002 0a090802 020000000001 0a090801")

	kernelEcho = linux("020000000002 020000000001 0800 45000021d31c4000400143ab 0a090801 0a090802" +
		"0800a1f812340001 68656c6c6f")
	kernelEchoReply = linux("020000000001 020000000002 0800 450000218a6f00004001cc58 0a090802 0a090801" +
		"0000a9f812340001 68656c6c6f")

	kernelSolicitation = linux("3333ff000002 020000000001 86dd 6000000000203aff" +
		"fd000009000000000000000000000001 ff0200000000000000000001ff000002" +
		"87007d8500000000 fd000009000000000000000000000002 0101020000000001")
	kernelAdvertisement = linux("020000000001 020000000002 86dd 6000000000203aff" +
		"fd000009000000000000000000000002 fd000009000000000000000000000001" +
		"88001c7f60000000 fd000009000000000000000000000002 0201020000000002")

	kernelEcho6 = linux("020000000002 020000000001 86dd 600a7a73000d3a40" +
		"fd000009000000000000000000000001 fd000009000000000000000000000002" +
		"80002f9a12340001 68656c6c6f")
	kernelEchoReply6 = linux("020000000001 020000000002 86dd 600048c2000d3a40" +
		"fd000009000000000000000000000002 fd000009000000000000000000000001" +
		"81002e9a12340001 68656c6c6f")

	kernelUDP = linux("020000000002 020000000001 0800 4502002500004000401116b2 0a090801 0a090802" +
		"7c6a7c6b0011ca35 706572656772696e65")
	kernelUDP6 = linux("020000000002 020000000001 86dd 6013d10a00121140" +
		"fd000009000000000000000000000001 fd000009000000000000000000000002" +
		"7c6a7c6b0012f410 706572656772696e6521")
)

// linux is one of those frames; spaces are for the reader.
func linux(text string) string { return strings.ReplaceAll(text, " ", "") }

// linuxConfig is that of the first or second of those stations.
func linuxConfig(number byte) Config {
	return Config{
		MAC: MAC{0x02, 0, 0, 0, 0, number},
		Addrs: []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, 8, number}), 24),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 3: 9, 15: number}), 64),
		},
		MTU: 1500,
	}
}

func newStack(t testing.TB, c Config) *Stack {
	s, err := New(c)
	require.NoError(t, err)
	return s
}

// withoutFlowLabel clears what a kernel sets and we do not, in an untagged frame.
func withoutFlowLabel(frame []byte) []byte {
	frame[ethernetSize+1] &= 0xf0
	clear(frame[ethernetSize+2 : ethernetSize+4])
	return frame
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

func addrPort(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }
