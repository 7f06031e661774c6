package udpsock

import (
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/routes"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Socket is a bound socket, and the table of its destinations. All but Overflows
// and Close is its owner's.
type Socket struct {
	FD         int
	IPv4, IPv6 bool // the families of peers; IPv6 is also the socket's own
	Local      netip.AddrPort
	// Caps is what the socket obtained. Batches and buffers are the backend's.
	Caps   transport.Caps
	Routes routes.Table[Dest]
	Zones  Zones

	wildcard bool
	errors   *errorQueue // nil: the kernel does not report

	// life guards the descriptor against Close in Overflows.
	life      sync.Mutex
	gone      bool
	drops     uint32 // the kernel's counter when last read
	overflows uint64
}

// Open opens one queue of several that share an address. It does not block, is
// not inherited, and bound.
func Open(backend string, set Settings, queue, queues int) (_ *Socket, err error) {
	addr, err := set.Local(backend, queue, queues)
	if err != nil {
		return nil, err
	}
	s := &Socket{FD: -1, Zones: Zones{}, Caps: transport.Caps{
		Backend:   backend,
		Queue:     queue,
		Queues:    queues,
		Integrity: true, // the kernel verifies UDP's checksum
	}}
	defer func() {
		if err != nil {
			_ = s.Close() // the error that led here says more
		}
	}()
	// An empty host means both families, where the host has both.
	if !addr.Addr().IsValid() {
		addr = netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port())
		if s.FD, err = newSocket(unix.AF_INET6); err != nil {
			addr = netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port())
		}
	}
	s.wildcard = addr.Addr().IsUnspecified()
	s.IPv6 = addr.Addr().Is6()
	s.IPv4 = !s.IPv6 || s.wildcard
	if s.FD < 0 {
		family := unix.AF_INET
		if s.IPv6 {
			family = unix.AF_INET6
		}
		if s.FD, err = newSocket(family); err != nil {
			return nil, fmt.Errorf("%s: this host gives no socket for %v: %w", backend, addr, err)
		}
	}
	mtu := set.MTU
	if mtu == 0 {
		mtu = LinkMTU(addr.Addr())
	}
	s.Caps.MaxPayload = MaxPayload(mtu, s.IPv6)
	if err := s.configure(set); err != nil {
		return nil, fmt.Errorf("%s: %w", backend, err)
	}
	if err := s.claim(addr, set.Share); err != nil {
		return nil, fmt.Errorf("%s: %w", backend, err)
	}
	return s, nil
}

func newSocket(family int) (int, error) {
	return unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// Resolve is [transport.Transport.Resolve].
func (s *Socket) Resolve(addr netip.AddrPort, source netip.Addr) (transport.Route, error) {
	dest, err := s.dest(addr, source)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.Caps.Backend, err)
	}
	return transport.Route(s.Routes.Add(dest)), nil
}

// Forget is [transport.Transport.Forget].
func (s *Socket) Forget(r transport.Route) { s.Routes.Forget(uint32(r)) }

// Overflows is how many datagrams the socket's full buffer has lost. Any
// goroutine may call it, also after Close.
func (s *Socket) Overflows() uint64 {
	s.life.Lock()
	defer s.life.Unlock()
	s.readDrops()
	return s.overflows
}

// readDrops adds up what the kernel's 32-bit counter of lost datagrams gained.
// Reading it when asked is free on the hot path, unlike SO_RXQ_OVFL.
func (s *Socket) readDrops() {
	const drops = 8 // SK_MEMINFO_DROPS
	if s.gone {
		return
	}
	if info, errno := meminfo(s.FD); errno == 0 {
		s.overflows += uint64(info[drops] - s.drops)
		s.drops = info[drops]
	}
}

// Close closes the descriptor, which nobody may be using. Closing twice is no
// error.
func (s *Socket) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.gone || s.FD < 0 {
		return nil
	}
	s.readDrops()
	s.gone = true
	return os.NewSyscallError("close", unix.Close(s.FD))
}
