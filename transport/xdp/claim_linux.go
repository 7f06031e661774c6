package xdp

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/udpsock"
)

// claimPort takes a UDP port of an interface from the kernel, or any if it is 0, by
// a socket that hears nothing until hearken. So no other program gets the port, the
// kernel does not call it unreachable should it see a packet that is ours, and it tells
// of ICMP that is about our datagrams.
func claimPort(d *device, udp uint16) (_ *udpsock.Socket, _ uint16, err error) {
	s := &udpsock.Socket{FD: -1, IPv6: true, Zones: udpsock.Zones{}}
	to := unix.Sockaddr(&unix.SockaddrInet6{Port: int(udp)})
	if s.FD, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil { // a kernel without IPv6
		s.IPv6, to = false, &unix.SockaddrInet4{Port: int(udp)}
		s.FD, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("xdp: %w", os.NewSyscallError("socket", err))
	}
	defer func() {
		if err != nil {
			_ = s.Close() // the error that led here says more
		}
	}()
	if err := deafen(s.FD); err != nil {
		return nil, 0, err
	}
	if err := unix.BindToDevice(s.FD, d.name); err != nil {
		return nil, 0, fmt.Errorf("xdp: %w", os.NewSyscallError("setsockopt", err))
	}
	switch err := unix.Bind(s.FD, to); {
	case errors.Is(err, unix.EADDRINUSE):
		return nil, 0, wrong("port", "%d is in use by a socket of the kernel (see ss -ulpn): choose another port, or 0 for a free one", udp)
	case errors.Is(err, unix.EACCES):
		return nil, 0, wrong("port", "%d needs CAP_NET_BIND_SERVICE: choose one from 1024", udp)
	case err != nil:
		return nil, 0, fmt.Errorf("xdp: cannot take UDP port %d of %s: %w", udp, d.name, err)
	}
	bound, err := unix.Getsockname(s.FD)
	if err != nil {
		return nil, 0, fmt.Errorf("xdp: %w", os.NewSyscallError("getsockname", err))
	}
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		udp = uint16(bound.Port)
	case *unix.SockaddrInet6:
		udp = uint16(bound.Port)
	}
	s.ReportErrors()
	return s, udp, nil
}

// reportsBuffer is for what the kernel keeps of ICMP, by the whole buffers that
// packets came in: one may have several KiB, and what has no room is lost.
const reportsBuffer = 256 << 10

// deafen has a socket hear of errors only: no datagram takes room from them.
func deafen(fd int) error {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, reportsBuffer) // less will do
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing[0]})
	if err != nil {
		return fmt.Errorf("xdp: %w", os.NewSyscallError("setsockopt", err))
	}
	return nil
}

// hearken has a claim hear datagrams too. What of it the kernel lacks it does without.
func hearken(s *udpsock.Socket) {
	if unix.SetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, unfinishedBuffer) != nil {
		_ = unix.SetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_RCVBUF, unfinishedBuffer)
	}
	for _, o := range [][2]int{
		{unix.SOL_UDP, unix.UDP_GRO},
		{unix.SOL_IP, unix.IP_RECVTOS}, {unix.SOL_IPV6, unix.IPV6_RECVTCLASS},
		{unix.SOL_IP, unix.IP_PKTINFO}, {unix.SOL_IPV6, unix.IPV6_RECVPKTINFO},
	} {
		_ = unix.SetsockoptInt(s.FD, o[0], o[1], 1)
	}
	_ = unix.SetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
}
