package transporttest

import (
	"bufio"
	"context"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Tshark is where Wireshark's judge of packets is; a test is skipped without it.
func Tshark(t *testing.T) (program string) {
	t.Helper()
	program, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed: apt-get install tshark")
	}
	return program
}

// Valid sends packets of many sizes and all code points from near to far, and has tshark, which is at the device where
// they arrive, find them as they ought to be. It knows nothing of us: what it calls valid is.
func Valid(t *testing.T, tshark string, near, far transport.Transport, device string, start func(*exec.Cmd) error) {
	t.Helper()
	sizes := []int{0, 1, 2, 17, 100, 101, 1400, near.Caps().MaxPayload}
	packets := capture(t, start, tshark, device, "udp and src host "+near.LocalAddr().Addr().String(), len(sizes)*4,
		"udp.length", "udp.checksum.status", "ip.checksum.status", "ip.flags.df", "ip.dsfield.ecn", "ipv6.tclass.ecn", "_ws.expert", "_ws.malformed")
	route := To(t, near, far)
	sent := map[string]int{}
	for _, ecn := range []transport.ECN{transport.NotECT, transport.ECT1, transport.ECT0, transport.CE} {
		for _, size := range sizes {
			p := []transport.TxPacket{{Route: route, ECN: ecn}}
			Within(t, func() bool { return near.Reserve(p) == 1 })
			p[0].Head = p[0].Head[:size]
			for i := range p[0].Head {
				p[0].Head[i] = byte(i * size)
			}
			n, err := near.Send(p)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			mark := strconv.Itoa(int(ecn))
			valid := strconv.Itoa(8+size) + "\t1\t\t\t\t" + mark + "\t\t"
			if near.LocalAddr().Addr().Is4() {
				valid = strconv.Itoa(8+size) + "\t1\t1\t1\t" + mark + "\t\t\t"
			}
			sent[valid]++
		}
	}
	seen := map[string]int{}
	for range len(sizes) * 4 {
		seen[<-packets]++
	}
	require.Equal(t, sent, seen, "length, checksums of UDP and IP (1: good), don't fragment, ECN, complaints")
}

// capture starts tshark at a device, as start does, and returns the fields of the first n packets that the filter lets
// through.
func capture(t *testing.T, start func(*exec.Cmd) error, tshark, device, filter string, n int, fields ...string) <-chan string {
	t.Helper()
	args := []string{"-n", "-l", "-i", device, "-f", filter, "-c", strconv.Itoa(n), "-a", "duration:300", "-T", "fields",
		"-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*Patience)
	cmd := exec.CommandContext(ctx, tshark, args...)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, start(cmd))
	said := bufio.NewScanner(stderr)
	for said.Scan() && !strings.HasSuffix(said.Text(), "Capture started.") {
	}
	packets := make(chan string, n)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(packets)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			packets <- lines.Text()
		}
		for said.Scan() { // until it has ended
		}
		_ = cmd.Wait() // if it failed, packets are missing
	}()
	t.Cleanup(func() { cancel(); <-done })
	return packets
}
