package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// claimPort takes a UDP port of an interface from the kernel, or any if it is 0.
// So no other program gets it, and the kernel does not call it unreachable
// should it see a packet that is ours. Nobody reads from the socket.
func claimPort(d *device, addr netip.Addr, udp uint16) (fd int, local netip.AddrPort, err error) {
	fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	to := unix.Sockaddr(&unix.SockaddrInet6{Port: int(udp)})
	if err != nil { // a kernel without IPv6
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		to = &unix.SockaddrInet4{Port: int(udp)}
	}
	if err != nil {
		return -1, local, fmt.Errorf("xdp: %w", os.NewSyscallError("socket", err))
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd) // the error that led here says more
			fd = -1
		}
	}()
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0) // the least that the kernel has
	if err := unix.BindToDevice(fd, d.name); err != nil {
		return fd, local, fmt.Errorf("xdp: %w", os.NewSyscallError("setsockopt", err))
	}
	if err := unix.Bind(fd, to); err != nil {
		switch {
		case errors.Is(err, unix.EADDRINUSE):
			return fd, local, wrong("port", "%d is in use by a socket of the kernel (see ss -ulpn): choose another port, or 0 for a free one", udp)
		case errors.Is(err, unix.EACCES):
			return fd, local, wrong("port", "%d needs CAP_NET_BIND_SERVICE: choose one from 1024", udp)
		}
		return fd, local, fmt.Errorf("xdp: cannot take UDP port %d of %s: %w", udp, d.name, err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return fd, local, fmt.Errorf("xdp: %w", os.NewSyscallError("getsockname", err))
	}
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		udp = uint16(bound.Port)
	case *unix.SockaddrInet6:
		udp = uint16(bound.Port)
	}
	return fd, netip.AddrPortFrom(addr, udp), nil
}
