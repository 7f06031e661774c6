package udp

import (
	"encoding/binary"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// waiter blocks the owner until a socket is ready or somebody calls wake.
//
// The state says what a wake has to do. awake: remember it. sleeping, from just
// before the owner blocks: write the eventfd too. woken: nothing, the next look
// at the state sees it. So a wake costs a system call only if the owner sleeps,
// and only the first one; and since each side changes the state by one atomic
// step, either the owner sees woken before it blocks or the waker sees sleeping.
type waiter struct {
	state   atomic.Uint32
	eventfd int

	inside sync.Mutex // held by the owner while it may use the descriptors
	life   sync.Mutex // guards eventfd between wake and close

	// The kernel's view.
	fds     [2]unix.PollFd
	timeout unix.Timespec
}

const (
	awake uint32 = iota
	sleeping
	woken
)

// wait polls fd for events, at most for timeout, or for ever if it is negative.
func (w *waiter) wait(fd int, events int16, timeout time.Duration, closed *atomic.Bool) error {
	w.inside.Lock()
	defer w.inside.Unlock()
	w.fds[0].Revents = 0
	if closed.Load() {
		return errClosed
	}
	if timeout == 0 || !w.state.CompareAndSwap(awake, sleeping) {
		w.state.Swap(awake)
	} else {
		err := w.block(fd, events, timeout)
		w.state.Swap(awake)
		if err != nil {
			return err
		}
	}
	if closed.Load() {
		return errClosed
	}
	return nil
}

func (w *waiter) block(fd int, events int16, timeout time.Duration) error {
	w.fds = [2]unix.PollFd{
		{Fd: int32(fd), Events: events},
		{Fd: int32(w.eventfd), Events: unix.POLLIN},
	}
	var limit *unix.Timespec
	if timeout > 0 {
		w.timeout = unix.NsecToTimespec(int64(timeout))
		limit = &w.timeout
	}
	if errno := ppoll(w.fds[:], limit); errno != 0 && errno != unix.EINTR && errno != unix.EAGAIN {
		return os.NewSyscallError("ppoll", errno)
	}
	// A wake that found the owner asleep may write after the owner is up: the
	// eventfd is emptied whenever it is seen full, not whenever woken is.
	if w.fds[1].Revents != 0 {
		var count [8]byte
		_, _ = unix.Read(w.eventfd, count[:])
	}
	return nil
}

// ready tells whether the last wait ended with that event.
func (w *waiter) ready(event int16) bool { return w.fds[0].Revents&event != 0 }

func (w *waiter) wake() {
	if w.state.Swap(woken) != sleeping {
		return
	}
	w.life.Lock()
	defer w.life.Unlock()
	if w.eventfd >= 0 {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = unix.Write(w.eventfd, one[:])
	}
}

// expel returns once the owner is out of wait, for good: closed is set already.
func (w *waiter) expel() {
	w.wake()
	w.inside.Lock()
	defer w.inside.Unlock()
}

func (w *waiter) close() error {
	w.life.Lock()
	defer w.life.Unlock()
	if w.eventfd < 0 {
		return nil
	}
	err := os.NewSyscallError("close", unix.Close(w.eventfd))
	w.eventfd = -1
	return err
}
