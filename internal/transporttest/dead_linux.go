package transporttest

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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
