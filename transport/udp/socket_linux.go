package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/routes"
	"github.com/peregrine-rpc/peregrine/internal/waiter"
	"github.com/peregrine-rpc/peregrine/transport"
)

func open(cfg Config, addr netip.AddrPort, queue, queues int) (transport.Transport, error) {
	return openSocket(cfg, addr, queue, queues)
}

// socket is a queue on the kernel's batch calls.
type socket struct {
	fd         int
	ipv4, ipv6 bool // the families of peers; ipv6 is also the socket's own
	local      netip.AddrPort
	caps       transport.Caps

	routes routes.Table[sockaddr]
	heads  heads
	tx     sender
	rx     receiver

	stats  counters
	waiter *waiter.Waiter

	closed atomic.Bool
	// life guards the descriptor against Close in Stats.
	life      sync.Mutex
	gone      bool
	drops     uint32 // the kernel's counter when last read
	overflows uint64
}

func openSocket(cfg Config, addr netip.AddrPort, queue, queues int) (_ *socket, err error) {
	s := &socket{fd: -1, ipv4: true, ipv6: true}
	// An empty host means both families, where the host has both.
	if !addr.Addr().IsValid() {
		addr = netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port())
		if s.fd, err = newSocket(unix.AF_INET6); err != nil {
			addr = netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port())
		}
	}
	s.ipv6 = addr.Addr().Is6()
	s.ipv4 = !s.ipv6 || addr.Addr().IsUnspecified()
	defer func() {
		if err != nil {
			s.closeDescriptors()
		}
	}()
	if s.fd < 0 {
		family := unix.AF_INET
		if s.ipv6 {
			family = unix.AF_INET6
		}
		if s.fd, err = newSocket(family); err != nil {
			return nil, fmt.Errorf("udp: this host gives no socket for %v: %w", addr, err)
		}
	}
	if s.waiter, err = waiter.New(); err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	mtu := cfg.MTU
	if mtu == 0 {
		mtu = linkMTU(addr.Addr())
	}
	s.caps = transport.Caps{
		Backend:    name,
		MaxPayload: maxPayload(mtu, s.ipv6),
		RxBatch:    64,
		TxBatch:    64,
		RxBuffers:  rxBuffers,
		Queue:      queue,
		Queues:     queues,
		Integrity:  true, // the kernel verifies UDP's checksum
	}
	if err := s.configure(cfg, queues); err != nil {
		return nil, err
	}
	if err := s.bind(addr); err != nil {
		return nil, err
	}
	s.heads = newHeads(txBuffers, s.caps.MaxPayload)
	s.tx.init(s.caps.SegmentTx, s.caps.ECN)
	s.rx.init(s.caps)
	return s, nil
}

func newSocket(family int) (int, error) {
	return unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// configure sets the socket's options, and Caps to what was obtained.
func (s *socket) configure(cfg Config, queues int) error {
	must := []option{
		// No fragments: the engine finds the size that a path carries, and the
		// kernel's own guess at it is not asked.
		{unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE},
	}
	if s.ipv6 {
		must = append(must,
			option{unix.SOL_IPV6, unix.IPV6_V6ONLY, truth(!s.ipv4)},
			option{unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE})
	}
	if queues > 1 {
		must = append(must, option{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1})
	}
	for _, o := range must {
		if err := s.set(o); err != nil {
			return fmt.Errorf("udp: the kernel refuses socket option %d of level %d: %w", o.opt, o.level, err)
		}
	}
	s.caps.RecvBuffer = s.buffer("recv_buffer", cfg.RecvBuffer, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, "rmem_max")
	s.caps.SendBuffer = s.buffer("send_buffer", cfg.SendBuffer, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, "wmem_max")
	// A segment size of 0 is none; setting it tells whether there could be one.
	s.caps.SegmentTx = cfg.Segment && s.want("segment", "UDP_SEGMENT (Linux 4.18)", option{unix.SOL_UDP, unix.UDP_SEGMENT, 0})
	s.caps.SegmentRx = cfg.GRO && s.want("gro", "UDP_GRO (Linux 5.0)", option{unix.SOL_UDP, unix.UDP_GRO, 1})
	if cfg.ECN {
		s.caps.ECN = s.want("ecn", "IP_RECVTOS", option{unix.SOL_IP, unix.IP_RECVTOS, 1}) &&
			(!s.ipv6 || s.want("ecn", "IPV6_RECVTCLASS", option{unix.SOL_IPV6, unix.IPV6_RECVTCLASS, 1}))
	}
	s.caps.RxTimestamps = cfg.Timestamps &&
		s.want("timestamps", "SO_TIMESTAMPNS_NEW (Linux 5.1)", option{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1})
	return nil
}

// option is a socket option and its value.
type option struct{ level, opt, value int }

func (s *socket) set(o option) error { return unix.SetsockoptInt(s.fd, o.level, o.opt, o.value) }

// want sets an option that the kernel may lack, and notes if it does.
func (s *socket) want(key, what string, o option) bool {
	err := s.set(o)
	if err != nil {
		s.note("%s=true was not obtained: this kernel refuses %s: %v", key, what, err)
	}
	return err == nil
}

// buffer asks for a socket buffer, first with the privilege to exceed the
// system's limit, and returns what the kernel accounts for it: payload together
// with its own overhead, for which it doubles what is asked.
func (s *socket) buffer(key string, size, force, plain int, limit string) int {
	if s.set(option{unix.SOL_SOCKET, force, size}) != nil {
		_ = s.set(option{unix.SOL_SOCKET, plain, size}) // the answer is read below
	}
	got, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, plain)
	if err != nil {
		return 0
	}
	if got/2 < size {
		s.note("%s=%d was not obtained but %d: run sysctl -w net.core.%s=%d", key, size, got/2, limit, size)
	}
	return got
}

func (s *socket) note(format string, args ...any) {
	s.caps.Notes = append(s.caps.Notes, "udp: "+fmt.Sprintf(format, args...))
}

func (s *socket) bind(addr netip.AddrPort) error {
	to := unix.Sockaddr(&unix.SockaddrInet4{Port: int(addr.Port())})
	if s.ipv6 {
		scope, err := scopeOf(addr.Addr().Zone())
		if err != nil {
			return wrong("address", "%v", err)
		}
		to = &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16(), ZoneId: scope}
	} else {
		to.(*unix.SockaddrInet4).Addr = addr.Addr().As4()
	}
	switch err := unix.Bind(s.fd, to); {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("udp: %v is in use by another socket: choose another port, or 0 for a free one: %w", addr, err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("udp: no interface of this host has %v: see ip addr: %w", addr.Addr(), err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("udp: port %d needs CAP_NET_BIND_SERVICE: choose one from 1024: %w", addr.Port(), err)
	case err != nil:
		return fmt.Errorf("udp: cannot bind %v: %w", addr, err)
	}
	bound, err := unix.Getsockname(s.fd)
	if err != nil {
		return fmt.Errorf("udp: cannot read the address of the socket: %w", err)
	}
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		s.local = netip.AddrPortFrom(addr.Addr(), uint16(bound.Port))
	case *unix.SockaddrInet6:
		s.local = netip.AddrPortFrom(addr.Addr(), uint16(bound.Port))
	}
	return nil
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *socket) Resolve(addr netip.AddrPort, _ netip.Addr) (transport.Route, error) {
	if s.closed.Load() {
		return 0, errClosed
	}
	if err := checkPeer(addr, s.ipv4, s.ipv6); err != nil {
		return 0, err
	}
	dest, err := makeSockaddr(netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), s.ipv6)
	if err != nil {
		return 0, err
	}
	return transport.Route(s.routes.Add(dest)), nil
}

func (s *socket) Forget(r transport.Route) { s.routes.Forget(uint32(r)) }

func (s *socket) Reserve(pkts []transport.TxPacket) int {
	if s.closed.Load() {
		return 0
	}
	return s.heads.reserve(pkts)
}

func (s *socket) Completed() uint64 { return s.tx.taken }

func (s *socket) Wait(timeout time.Duration) error {
	// With no buffer free an arrived datagram is no reason to return.
	var events int16
	if s.rx.armed() {
		events |= unix.POLLIN
	}
	if s.tx.full {
		events |= unix.POLLOUT
	}
	if s.rx.pending() {
		timeout = 0
	}
	err := s.waiter.Wait(s.fd, events, timeout)
	if err == waiter.ErrExpelled {
		return errClosed
	}
	if s.waiter.Ready(unix.POLLOUT) {
		s.tx.full = false // said once: an owner with nothing to send may sleep
	}
	return err
}

func (s *socket) Wake() { s.waiter.Wake() }

func (s *socket) LocalAddr() netip.AddrPort { return s.local }

func (s *socket) Caps() transport.Caps { return s.caps }

func (s *socket) Stats() transport.Stats {
	st := s.stats.snapshot()
	s.life.Lock()
	defer s.life.Unlock()
	s.readDrops()
	st.RxOverflow = s.overflows
	return st
}

// readDrops adds up what the kernel's 32-bit counter of lost datagrams gained.
// Reading it when asked is free on the hot path, unlike SO_RXQ_OVFL.
func (s *socket) readDrops() {
	const drops = 8 // SK_MEMINFO_DROPS
	if s.gone {
		return
	}
	if info, errno := meminfo(s.fd); errno == 0 {
		s.overflows += uint64(info[drops] - s.drops)
		s.drops = info[drops]
	}
}

func (s *socket) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.waiter.Expel()
	s.life.Lock()
	defer s.life.Unlock()
	s.readDrops()
	s.gone = true
	return s.closeDescriptors()
}

func (s *socket) closeDescriptors() error {
	var err error
	if s.fd >= 0 {
		err = os.NewSyscallError("close", unix.Close(s.fd))
	}
	if s.waiter != nil {
		err = errors.Join(err, s.waiter.Close())
	}
	return err
}
