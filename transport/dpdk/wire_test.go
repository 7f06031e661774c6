//go:build dpdk

package dpdk

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Wireshark knows nothing of us: what it calls valid is.
func TestTsharkFindsOurPacketsValid(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed: apt-get install tshark")
	}
	for name, ips := range map[string][2]string{
		"tsh4": {"10.12.0.1/24", "10.12.0.2/24"},
		"tsh6": {"fd12::1/64", "fd12::2/64"},
	} {
		t.Run(name, func(t *testing.T) {
			l := toKernel(t, name, ips[0], ips[1])
			near, far := openBoth(t, l)
			sizes := []int{0, 1, 2, 17, 100, 101, 1400, near.Caps().MaxPayload}
			own := near.LocalAddr().Addr().String()
			packets := capture(t, tshark, name+"k", "udp and src host "+own, len(sizes)*4,
				"udp.length", "udp.checksum.status", "ip.checksum.status", "ip.flags.df", "ip.dsfield.ecn", "ipv6.tclass.ecn", "_ws.expert", "_ws.malformed")
			route, err := near.Resolve(far.LocalAddr(), netip.Addr{})
			require.NoError(t, err)
			sent := map[string]int{}
			for _, ecn := range []transport.ECN{transport.NotECT, transport.ECT1, transport.ECT0, transport.CE} {
				for _, size := range sizes {
					p := []transport.TxPacket{{Route: route, ECN: ecn}}
					within(t, func() bool { return near.Reserve(p) == 1 })
					p[0].Head = p[0].Head[:size]
					for i := range p[0].Head {
						p[0].Head[i] = byte(i * size)
					}
					n, err := near.Send(p)
					require.NoError(t, err)
					require.Equal(t, 1, n)
					mark := strconv.Itoa(int(ecn))
					valid := []string{strconv.Itoa(8 + size), "1", "", "", "", mark, "", ""}
					if strings.Contains(ips[0], ".") {
						valid = []string{strconv.Itoa(8 + size), "1", "1", "1", mark, "", "", ""}
					}
					sent[strings.Join(valid, "\t")]++
				}
			}
			seen := map[string]int{}
			for range len(sizes) * 4 {
				seen[<-packets]++
			}
			require.Equal(t, sent, seen, "length, checksums of UDP and IP (1: good), don't fragment, ECN, complaints")
		})
	}
}

// capture starts tshark at a device, and returns the fields of the first n packets
// that the filter lets through.
func capture(t *testing.T, tshark, device, filter string, n int, fields ...string) <-chan string {
	t.Helper()
	args := []string{"-n", "-l", "-i", device, "-f", filter, "-c", strconv.Itoa(n), "-a", "duration:30", "-T", "fields",
		"-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	cmd := exec.CommandContext(ctx, tshark, args...)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
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

// openBoth opens both ends, and has them know each other.
func openBoth(t *testing.T, l link) (near, far transport.Transport) {
	t.Helper()
	near, err := l.near(0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, near.Close()) })
	far, err = l.far(0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, far.Close()) })
	route, err := near.Resolve(far.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	within(t, func() bool {
		take(t, near) // neighbours get their turn
		p := []transport.TxPacket{{Route: route}}
		if near.Reserve(p) == 1 {
			p[0].Head = p[0].Head[:1]
			_, err := near.Send(p)
			require.NoError(t, err)
		}
		return take(t, far) > 0
	})
	return near, far
}

// within is eventually on this goroutine, which owns transports.
func within(t *testing.T, condition func() bool) {
	t.Helper()
	for began := time.Now(); !condition(); time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(began), 30*time.Second)
	}
}

// take receives and releases what is there.
func take(t *testing.T, tr transport.Transport) int {
	t.Helper()
	rx := make([]transport.RxPacket, 8)
	n, err := tr.Recv(rx)
	require.NoError(t, err)
	tr.Release(rx[:n])
	return n
}

// The host answers while its transport is polled, like any other.
func TestOurHostAnswersPings(t *testing.T) {
	l := toKernel(t, "ping", "10.13.0.1/24", "10.13.0.2/24")
	near, _ := openBoth(t, l)
	conn, err := net.ListenPacket("ip4:icmp", "10.13.0.2")
	require.NoError(t, err)
	defer conn.Close()
	// Echo request, code 0, checksum, identifier and sequence number 7; RFC 792.
	echo := []byte{8, 0, 0, 0, 0, 7, 0, 7, 'p', 'i', 'n', 'g'}
	sum := uint32(0)
	for i := 0; i < len(echo); i += 2 {
		sum += uint32(echo[i])<<8 | uint32(echo[i+1])
	}
	sum = ^(sum>>16 + sum)
	echo[2], echo[3] = byte(sum>>8), byte(sum)
	_, err = conn.WriteTo(echo, &net.IPAddr{IP: net.IPv4(10, 13, 0, 1)})
	require.NoError(t, err)
	answer := make([]byte, 100)
	within(t, func() bool {
		require.Zero(t, take(t, near), "a ping is no datagram")
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Millisecond)))
		n, _, err := conn.ReadFrom(answer)
		return err == nil && n == len(echo) && answer[0] == 0 && string(answer[4:n]) == string(echo[4:])
	})
}
