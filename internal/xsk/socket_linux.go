package xsk

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Sizes are the entries of the rings, powers of two.
type Sizes struct{ Fill, Completion, RX, TX int }

// Socket is an AF_XDP socket with all four rings.
type Socket struct {
	Fill       Producer[uint64] // free frames, for what arrives
	RX         Consumer[Desc]
	TX         Producer[Desc]
	Completion Consumer[uint64] // frames that were sent

	fd    int
	share int       // a socket that uses the same UMEM already, or -1
	areas [4][]byte // the rings, mapped
}

// Open makes a socket over u with its rings, to be filled, bound and closed. Where
// other is not nil it is a bound socket over the same u, on another queue or
// device.
func Open(u *Umem, other *Socket, sizes Sizes) (*Socket, error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &Refusal{"socket", err}
	}
	s := &Socket{fd: fd, share: -1}
	if other != nil {
		s.share = other.fd
	}
	if err := s.prepare(u, sizes); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Socket) prepare(u *Umem, sizes Sizes) error {
	if s.share < 0 {
		if errno := register(s.fd, u); errno != 0 {
			return &Refusal{"register", errno}
		}
	}
	for _, r := range []struct{ option, size int }{
		{unix.XDP_UMEM_FILL_RING, sizes.Fill},
		{unix.XDP_UMEM_COMPLETION_RING, sizes.Completion},
		{unix.XDP_RX_RING, sizes.RX},
		{unix.XDP_TX_RING, sizes.TX},
	} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_XDP, r.option, r.size); err != nil {
			return fmt.Errorf("xsk: no ring of %d entries: %w", r.size, err)
		}
	}
	offsets, errno := mmapOffsets(s.fd)
	if errno != 0 {
		return fmt.Errorf("xsk: cannot ask where the rings lie: %w", errno)
	}
	if err := mapRing(s, 0, &s.Fill.ring, offsets.Fr, sizes.Fill, unix.XDP_UMEM_PGOFF_FILL_RING); err != nil {
		return err
	}
	if err := mapRing(s, 1, &s.Completion.ring, offsets.Cr, sizes.Completion, unix.XDP_UMEM_PGOFF_COMPLETION_RING); err != nil {
		return err
	}
	if err := mapRing(s, 2, &s.RX.ring, offsets.Rx, sizes.RX, unix.XDP_PGOFF_RX_RING); err != nil {
		return err
	}
	return mapRing(s, 3, &s.TX.ring, offsets.Tx, sizes.TX, unix.XDP_PGOFF_TX_RING)
}

func mapRing[E uint64 | Desc](s *Socket, area int, r *ring[E], off unix.XDPRingOffset, entries int, page int64) error {
	size := int(off.Desc) + entries*sizeOf[E]()
	memory, err := unix.Mmap(s.fd, page, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return fmt.Errorf("xsk: cannot map a ring: %w", err)
	}
	s.areas[area] = memory
	*r = layOut[E](memory, off, entries)
	return nil
}

// bindPatience is longer than a queue stays taken after its last socket was
// closed: 20 to 90 ms where there is a CPU to spare, and more than a second where
// there is none, since that waits for the kernel's lock of all interfaces.
const (
	bindPatience = 10 * time.Second
	bindPause    = 5 * time.Millisecond
)

// Bind gives the socket a queue of a device. flags are XDP_COPY or XDP_ZEROCOPY,
// or neither to take what there is, XDP_USE_NEED_WAKEUP and XDP_USE_SG; a socket
// that shares has those of the other one. While the queue is taken Bind waits, up
// to ten seconds. An error is a [*Refusal].
func (s *Socket) Bind(device, queue int, flags uint16) error {
	return s.bindWithin(bindPatience, device, queue, flags)
}

func (s *Socket) bindWithin(patience time.Duration, device, queue int, flags uint16) error {
	to := &unix.SockaddrXDP{Flags: flags, Ifindex: uint32(device), QueueID: uint32(queue)}
	if s.share >= 0 {
		to.Flags, to.SharedUmemFD = unix.XDP_SHARED_UMEM, uint32(s.share)
	}
	for began := time.Now(); ; time.Sleep(bindPause) {
		err := unix.Bind(s.fd, to)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Since(began) > patience {
			return &Refusal{"bind", err}
		}
	}
}

// FD is the descriptor. It polls as readable while the RX ring has entries, and as
// writable while the TX ring has room.
func (s *Socket) FD() int { return s.fd }

// ZeroCopy tells whether the device itself reads and writes the UMEM.
func (s *Socket) ZeroCopy() (bool, error) {
	options, err := unix.GetsockoptInt(s.fd, unix.SOL_XDP, unix.XDP_OPTIONS)
	return options&unix.XDP_OPTIONS_ZEROCOPY != 0, os.NewSyscallError("getsockopt", err)
}

// RaiseBudget lets a Kick send up to n frames, where it is 32 otherwise; false
// means that the kernel has no such option (Linux 6.17).
func (s *Socket) RaiseBudget(n int) bool {
	return unix.SetsockoptInt(s.fd, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, n) == nil
}

// SendBuffer lets copies of so many bytes be under way at a time.
func (s *Socket) SendBuffer(bytes int) error {
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, bytes) == nil {
		return nil
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, bytes))
}

// Polled is the NAPI instance that packets of this socket came by, which is what the
// kernel would poll; 0 if there was no packet yet, or the device has none that can
// be polled.
func (s *Socket) Polled() int {
	id, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_INCOMING_NAPI_ID)
	if err != nil {
		return 0
	}
	return id
}

// BusyPoll has Kick and Nudge poll the device themselves, for so many microseconds
// and packets, where [Socket.Polled] is not 0 (Linux 5.11).
func (s *Socket) BusyPoll(microseconds, budget int) error {
	for _, o := range []struct{ option, value int }{
		{unix.SO_PREFER_BUSY_POLL, 1},
		{unix.SO_BUSY_POLL, microseconds},
		{unix.SO_BUSY_POLL_BUDGET, budget},
	} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o.option, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

// Overflows is how many packets the kernel had no frame, or no room in the RX
// ring, for.
func (s *Socket) Overflows() uint64 {
	stats, errno := statistics(s.fd)
	if errno != 0 {
		return 0
	}
	return stats.Rx_dropped + stats.Rx_ring_full
}

// Close unmaps the rings and closes the socket. All four must be unmapped, or the
// queue stays taken.
func (s *Socket) Close() error {
	var err error
	for i := range s.areas {
		if s.areas[i] != nil {
			err = errors.Join(err, os.NewSyscallError("munmap", unix.Munmap(s.areas[i])))
			s.areas[i] = nil
		}
	}
	s.Fill, s.RX, s.TX, s.Completion = Producer[uint64]{}, Consumer[Desc]{}, Producer[Desc]{}, Consumer[uint64]{}
	if s.fd >= 0 {
		err = errors.Join(err, os.NewSyscallError("close", unix.Close(s.fd)))
		s.fd = -1
	}
	return err
}

// Refusal is the kernel's answer to a step that depends on host and device: what
// to do about it is the caller's to say. Step is "socket", "register" or "bind".
type Refusal struct {
	Step string
	Err  error // an errno
}

func (r *Refusal) Error() string { return fmt.Sprintf("xsk: %s: %v", r.Step, r.Err) }

func (r *Refusal) Unwrap() error { return r.Err }
