package udpsock

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// claim gives the socket its address, and Local the port that it got.
//
// Sockets that set SO_REUSEPORT share a port with any other that does, also of
// another process, and even one of the kernel's choice is not theirs alone. So
// queue 0 takes the port without it and lets the other queues in afterwards.
//
// Those who share the port with other processes have SO_REUSEADDR as well: it
// tells them from those who have several queues and do not.
func (s *Socket) claim(addr netip.AddrPort, share bool) error {
	joins := s.Caps.Queue > 0
	if share && addr.Port() != 0 && !joins {
		if err := s.ask(addr); err != nil {
			return err
		}
		joins = true
	}
	if joins {
		if err := s.admit(share); err != nil {
			return err
		}
	}
	if err := s.bind(addr); err != nil {
		return err
	}
	if !joins && (s.Caps.Queues > 1 || share) {
		return s.admit(share)
	}
	return nil
}

// ask says whether all who have the port share it, by binding a socket for a
// moment that goes with theirs alone.
func (s *Socket) ask(addr netip.AddrPort) error {
	family := unix.AF_INET
	if s.IPv6 {
		family = unix.AF_INET6
	}
	fd, err := newSocket(family)
	if err != nil {
		return fmt.Errorf("this host gives no socket for %v: %w", addr, err)
	}
	defer unix.Close(fd)
	asker := Socket{FD: fd, IPv4: s.IPv4, IPv6: s.IPv6, Caps: s.Caps}
	if err := asker.reuse(unix.SO_REUSEADDR); err != nil {
		return err
	}
	if s.IPv6 {
		if err := asker.set(option{unix.SOL_IPV6, unix.IPV6_V6ONLY, truth(!s.IPv4)}); err != nil {
			return fmt.Errorf("the kernel refuses IPV6_V6ONLY: %w", err)
		}
	}
	return asker.bind(addr)
}

// admit lets others have the port too: queues, and with share other processes.
func (s *Socket) admit(share bool) error {
	if share {
		if err := s.reuse(unix.SO_REUSEADDR); err != nil {
			return err
		}
	}
	return s.reuse(unix.SO_REUSEPORT)
}

func (s *Socket) reuse(opt int) error {
	if err := s.set(option{unix.SOL_SOCKET, opt, 1}); err != nil {
		return fmt.Errorf("the kernel refuses socket option %d, without which a port is one socket's (SO_REUSEPORT: Linux 3.9): %w", opt, err)
	}
	return nil
}

func (s *Socket) bind(addr netip.AddrPort) error {
	to := unix.Sockaddr(&unix.SockaddrInet4{Port: int(addr.Port())})
	if s.IPv6 {
		scope, err := scopeOf(addr.Addr().Zone())
		if err != nil {
			return wrong(s.Caps.Backend, "address", "%v", err)
		}
		to = &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16(), ZoneId: scope}
	} else {
		to.(*unix.SockaddrInet4).Addr = addr.Addr().As4()
	}
	switch err := unix.Bind(s.FD, to); {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%v is in use by another socket: choose another port, or 0 for a free one: %w", addr, err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("no interface of this host has %v: see ip addr: %w", addr.Addr(), err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("port %d needs CAP_NET_BIND_SERVICE: choose one from 1024: %w", addr.Port(), err)
	case err != nil:
		return fmt.Errorf("cannot bind %v: %w", addr, err)
	}
	bound, err := unix.Getsockname(s.FD)
	if err != nil {
		return fmt.Errorf("cannot read the address of the socket: %w", err)
	}
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		s.Local = netip.AddrPortFrom(addr.Addr(), uint16(bound.Port))
	case *unix.SockaddrInet6:
		s.Local = netip.AddrPortFrom(addr.Addr(), uint16(bound.Port))
	}
	return nil
}
