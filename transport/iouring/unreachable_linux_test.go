package iouring

import (
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/transport"
)

// heard waits for a report, as an owner does.
func heard(t *testing.T, tr transport.Transport) transport.Unreachable {
	t.Helper()
	for end := time.Now().Add(soon); ; {
		if u, ok := inside(tr).NextUnreachable(); ok {
			return u
		}
		require.True(t, time.Now().Before(end), "nothing was reported")
		n, err := tr.Recv(make([]transport.RxPacket, 1))
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, tr.Wait(time.Second))
	}
}

// dead is a port of the loopback at which nobody listens: a connected socket has it,
// and takes nothing from strangers.
func dead(t *testing.T) netip.AddrPort {
	t.Helper()
	local := [4]byte{127, 0, 0, 1}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Close(fd)) })
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: local}))
	require.NoError(t, unix.Connect(fd, &unix.SockaddrInet4{Addr: local, Port: 9}))
	own, err := unix.Getsockname(fd)
	require.NoError(t, err)
	return netip.AddrPortFrom(netip.AddrFrom4(local), uint16(own.(*unix.SockaddrInet4).Port))
}

func TestAPortWhereNobodyListensIsReported(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, to := v.at(t, loopback), dead(t)
		r, err := a.Resolve(to, netip.Addr{})
		require.NoError(t, err)
		for _, texts := range [][]string{{"anybody?"}, numbered(10, 100), {strings.Repeat("long", 300)}} {
			send(t, a, r, texts...)
			u := heard(t, a)
			require.Equal(t, to, u.To)
			require.ErrorIs(t, u.Err, syscall.ECONNREFUSED)
			require.NotEmpty(t, u.Data)
			require.True(t, strings.HasPrefix(strings.Join(texts, ""), string(u.Data)), "it is quoted from its first byte")
			for ok := true; ok; {
				_, err := a.Recv(make([]transport.RxPacket, 1))
				require.NoError(t, err)
				_, ok = inside(a).NextUnreachable()
			}
		}
		require.Zero(t, a.Stats().TxRefused)
	})
}

func TestADeadPeerCostsTheOthersNothing(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, loopback), v.at(t, loopback)
		nobody, err := a.Resolve(dead(t), netip.Addr{})
		require.NoError(t, err)
		somebody, back := to(t, a, b), to(t, b, a)
		for round := range uint64(50) {
			// In one batch by turns.
			pkts := make([]transport.TxPacket, 40)
			require.Equal(t, len(pkts), a.Reserve(pkts))
			for i := range pkts {
				pkts[i].Route, pkts[i].Head = []transport.Route{nobody, somebody}[i%2], pkts[i].Head[:1+round]
			}
			n, err := a.Send(pkts)
			require.NoError(t, err)
			require.Equal(t, len(pkts), n)
			completed(t, a, 41*round+40)
			b.Release(receive(t, b, 20))
			send(t, a, nobody, "anybody?")
			send(t, b, back, "an answer")
			require.Equal(t, []string{"an answer"}, texts(t, a, 1))
			completed(t, a, 41*round+41)
		}
		require.Zero(t, a.Stats().TxRefused)
		require.Equal(t, uint64(50*41), a.Stats().TxPackets)
	})
}

func TestWaitReturnsForAReportAndSleepsWhenItIsTaken(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a := v.at(t, loopback)
		r, err := a.Resolve(dead(t), netip.Addr{})
		require.NoError(t, err)
		for range 3 {
			send(t, a, r, "anybody?")
			for !inside(a).sock.Reports() {
				require.NoError(t, a.Wait(-1))
			}
			require.NoError(t, a.Wait(-1), "also while it is not taken")
			_, ok := inside(a).NextUnreachable()
			require.True(t, ok)
			completed(t, a, a.Stats().TxPackets)
			returns := 0
			for began := time.Now(); time.Since(began) < 30*time.Millisecond; returns++ {
				require.NoError(t, a.Wait(30*time.Millisecond))
			}
			require.Less(t, returns, 10, "it sleeps")
		}
	})
}
