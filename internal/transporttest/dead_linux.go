package transporttest

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

// Dead is a port of an address of this host at which nobody listens: a connected socket has it, and takes nothing from
// strangers.
func Dead(t testing.TB, host string) netip.AddrPort {
	t.Helper()
	addr := netip.MustParseAddr(host)
	family, bound, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: addr.As16()}), unix.Sockaddr(&unix.SockaddrInet6{Addr: addr.As16(), Port: 9})
	if addr.Is4() {
		family, bound, to = unix.AF_INET, &unix.SockaddrInet4{Addr: addr.As4()}, &unix.SockaddrInet4{Addr: addr.As4(), Port: 9}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Close(fd)) })
	require.NoError(t, unix.Bind(fd, bound))
	require.NoError(t, unix.Connect(fd, to))
	own, err := unix.Getsockname(fd)
	require.NoError(t, err)
	port := 0
	switch own := own.(type) {
	case *unix.SockaddrInet4:
		port = own.Port
	case *unix.SockaddrInet6:
		port = own.Port
	}
	return netip.AddrPortFrom(addr, uint16(port))
}

// Heard waits for a report of a datagram that was not delivered, as an owner does.
func Heard(t testing.TB, tr transport.Transport) transport.Unreachable {
	t.Helper()
	for end := time.Now().Add(Patience); ; {
		if u, ok := tr.(transport.UnreachableReporter).NextUnreachable(); ok {
			return u
		}
		require.True(t, time.Now().Before(end), "nothing was reported")
		RecvNothing(t, tr)
		require.NoError(t, tr.Wait(time.Second))
	}
}

// RecvNothing requires that nothing has arrived. What is heard of what was sent may come
// with such a look.
func RecvNothing(t testing.TB, tr transport.Transport) {
	t.Helper()
	n, err := tr.Recv(make([]transport.RxPacket, 1))
	require.NoError(t, err)
	require.Zero(t, n)
}

// Refused tells that who sends to a port of an address at which nobody listens hears
// of it, and what came back.
func Refused(t testing.TB, tr transport.Transport, peer string) {
	t.Helper()
	to := Dead(t, peer)
	r, err := tr.Resolve(to, netip.Addr{})
	require.NoError(t, err)
	for _, texts := range [][]string{{"anybody?"}, Numbered(10, 100), {strings.Repeat("long", 300)}} {
		Send(t, tr, r, texts...)
		u := Heard(t, tr)
		require.Equal(t, to, u.To)
		require.ErrorIs(t, u.Err, syscall.ECONNREFUSED)
		require.NotEmpty(t, u.Data)
		require.True(t, strings.HasPrefix(strings.Join(texts, ""), string(u.Data)), "it is quoted from its first byte")
		for ok := true; ok; {
			RecvNothing(t, tr)
			_, ok = tr.(transport.UnreachableReporter).NextUnreachable()
		}
	}
	require.Zero(t, tr.Stats().TxRefused)
}

// DeadPeer tells that a peer of a that is dead costs another one, b, nothing, though the
// kernel tells of it with whatever is sent next. done waits until a has completed so
// many packets.
func DeadPeer(t testing.TB, a, b transport.Transport, done func(n uint64)) {
	t.Helper()
	nobody, err := a.Resolve(Dead(t, "127.0.0.1"), netip.Addr{})
	require.NoError(t, err)
	somebody, back := To(t, a, b), To(t, b, a)
	for round := range uint64(50) {
		// In one batch by turns, so that the kernel has to stop at each.
		pkts := make([]transport.TxPacket, 40)
		require.Equal(t, len(pkts), a.Reserve(pkts))
		for i := range pkts {
			pkts[i].Route, pkts[i].Head = []transport.Route{nobody, somebody}[i%2], pkts[i].Head[:1+round]
		}
		n, err := a.Send(pkts)
		require.NoError(t, err)
		require.Equal(t, len(pkts), n)
		done(41*round + 40)
		b.Release(Receive(t, b, 20))
		Send(t, a, nobody, "anybody?")
		Send(t, b, back, "an answer")
		require.Equal(t, []string{"an answer"}, Texts(t, a, 1))
		done(41*round + 41)
	}
	require.Zero(t, a.Stats().TxRefused)
	require.Equal(t, uint64(50*41), a.Stats().TxPackets)
}
