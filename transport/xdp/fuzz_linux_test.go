package xdp

import (
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
)

// FuzzTheProgramAndTheParserAgree has both judge any frame: what is ours to the
// parser the program leads to us, save IP with options; and what it leads to us is
// never something that the kernel would have to answer.
func FuzzTheProgramAndTheParserAgree(f *testing.F) {
	m, err := makeMaps(1)
	if err != nil {
		f.Skip("loading a program takes root, or CAP_BPF and CAP_NET_ADMIN")
	}
	defer m.close()
	program, err := ourFilter.load(m, asm.Instructions{asm.Mov.Imm(asm.R0, xdpRedirect), asm.Return()}, false)
	require.NoError(f, err)
	defer program.Close()
	parser := netstack.Receiver{MAC: netstack.MAC{2, 2}, Addrs: ourFilter.addrs}.Parser()

	f.Add(datagram(0, "10.9.0.9:1", "10.9.0.1:31850", 10))
	f.Add(datagram(0, "[fd09::9]:1", "[fd09::2]:31850", 10))
	f.Add(datagram(7, "10.9.0.9:1", "240.9.0.1:31850", 0))
	f.Add(datagram(0, "10.9.0.9:1", "10.9.0.1:31851", 0))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < 14 || len(frame) > 1500 {
			return // the kernel tests no other
		}
		verdict, _, err := program.Test(frame)
		require.NoError(t, err)
		var d netstack.Datagram
		parsed := parser.Parse(frame, 0, &d)
		network := 14
		if frame[12] == 0x81 && frame[13] == 0 {
			network = 18
		}
		if parsed == netstack.UDP && d.Port == ourFilter.port && (frame[network] == 0x45 || frame[network]>>4 == 6) {
			require.EqualValues(t, xdpRedirect, verdict, "%x is ours", frame)
		}
		if verdict == xdpRedirect {
			require.NotContains(t, []netstack.Verdict{netstack.ForStack, netstack.Fragment}, parsed, "%x is the kernel's", frame)
		}
	})
}
