package relay

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/waiter"
)

// sleeper waits for any of several transports, as far as they have a descriptor.
type sleeper struct {
	waiter *waiter.Waiter
	epoll  int // is readable while one of them is
	sides  map[int32]*side
	events [64]unix.EpollEvent
}

func (s *sleeper) open() (err error) {
	s.sides = make(map[int32]*side)
	if s.waiter, err = waiter.New(); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return errors.Join(fmt.Errorf("relay: %w", os.NewSyscallError("epoll_create1", err)), s.waiter.Close())
	}
	return nil
}

// add has sleep end when the side's transport has something, if that can be.
func (s *sleeper) add(side *side) {
	fd := side.descriptor
	if fd >= 0 && unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}) == nil {
		side.watched = true
		s.sides[int32(fd)] = side
	}
}

func (s *sleeper) remove(side *side) {
	if side.watched {
		side.watched = false
		delete(s.sides, int32(side.descriptor))
		_ = unix.EpollCtl(s.epoll, unix.EPOLL_CTL_DEL, side.descriptor, nil) // closing it does the same
	}
}

func (s *sleeper) wake() { s.waiter.Wake() }

func (s *sleeper) close() error {
	return errors.Join(s.waiter.Close(), os.NewSyscallError("close", unix.Close(s.epoll)))
}

// sleep sleeps until there is something, wake was called, or timeout has passed.
func (r *Relay) sleep(timeout time.Duration) error {
	if err := r.sleeper.waiter.Wait(r.sleeper.epoll, unix.POLLIN, timeout); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	return r.look()
}

// look lists the sides that the kernel has something for. Others are listed always.
func (r *Relay) look() error {
	if r.outside != nil {
		return nil
	}
	s := &r.sleeper
	n, err := unix.EpollWait(s.epoll, s.events[:], 0)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("relay: %w", os.NewSyscallError("epoll_wait", err))
	}
	for i := range max(0, n) {
		if side := s.sides[s.events[i].Fd]; side != nil && side != r.inside {
			r.list(side)
		}
	}
	return nil
}
