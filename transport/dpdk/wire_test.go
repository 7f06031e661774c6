//go:build dpdk

package dpdk

import (
	"net"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Wireshark knows nothing of us: what it calls valid is.
func TestTsharkFindsOurPacketsValid(t *testing.T) {
	tshark := transporttest.Tshark(t)
	for name, ips := range map[string][2]string{
		"tsh4": {"10.12.0.1/24", "10.12.0.2/24"},
		"tsh6": {"fd12::1/64", "fd12::2/64"},
	} {
		t.Run(name, func(t *testing.T) {
			l := toKernel(t, name, ips[0], ips[1])
			near, far := openBoth(t, l)
			transporttest.Valid(t, tshark, near, far, name+"k", (*exec.Cmd).Start)
		})
	}
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
	transporttest.Within(t, func() bool {
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
	transporttest.Within(t, func() bool {
		require.Zero(t, take(t, near), "a ping is no datagram")
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Millisecond)))
		n, _, err := conn.ReadFrom(answer)
		return err == nil && n == len(echo) && answer[0] == 0 && string(answer[4:n]) == string(echo[4:])
	})
}
