package waiter

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Waiter blocks its owner until a descriptor is ready or somebody calls Wake.
// All methods but Wake, Expel and Close are the owner's.
//
// The state says what a wake has to do. awake: remember it. sleeping, from just
// before the owner blocks: write the eventfd too. woken: nothing, the next look
// at the state sees it. So a wake costs a system call only if the owner sleeps,
// and only the first one; and since each side changes the state by one atomic
// step, either the owner sees woken before it blocks or the waker sees sleeping.
type Waiter struct {
	state    atomic.Uint32
	eventfd  int
	expelled atomic.Bool

	inside sync.Mutex // held by the owner while it may use the descriptors
	life   sync.Mutex // guards eventfd between wake and close

	woken bool // the last Wait ended, or would have, by a Wake

	// Other means than ppoll and the eventfd, or nil.
	sleep func(timeout time.Duration) error
	rouse func() (roused bool) // guarded by life

	// The kernel's view.
	fds     [2]unix.PollFd
	timeout unix.Timespec
}

// ErrExpelled is what Wait returns after Expel.
var ErrExpelled = errors.New("waiter: closed")

const (
	awake uint32 = iota
	sleeping
	woken
)

// New returns a Waiter, to be closed.
func New() (*Waiter, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	return &Waiter{eventfd: fd}, nil
}

// Otherwise has Wait call sleep instead of polling descriptors, where it would have
// slept, and with a timeout of 0. sleep returns when it likes, at the latest when
// timeout has passed, unless that is negative, or after a call of rouse, which comes
// from any goroutine, at any time since sleep was about to be called, but not after
// Close. Where rouse is nil, or says that it failed, the bell rings: sleep sleeps in
// Poll, or looks at the bell itself.
func (w *Waiter) Otherwise(sleep func(timeout time.Duration) error, rouse func() (roused bool)) {
	w.life.Lock()
	defer w.life.Unlock()
	w.sleep, w.rouse = sleep, rouse
}

// Wait polls fd, unless it is negative, for events, at most for timeout, or for
// ever if that is negative. It returns at once after a Wake that no Wait has
// seen. After Expel it returns ErrExpelled.
func (w *Waiter) Wait(fd int, events int16, timeout time.Duration) error {
	w.inside.Lock()
	defer w.inside.Unlock()
	w.fds[0].Revents = 0
	if w.expelled.Load() {
		return ErrExpelled
	}
	var err error
	if (timeout != 0 || w.sleep != nil) && w.state.CompareAndSwap(awake, sleeping) {
		if w.sleep != nil {
			err = w.sleep(timeout)
		} else {
			err = w.Poll(fd, events, timeout)
		}
	}
	w.woken = w.state.Swap(awake) == woken
	if err != nil {
		return err
	}
	if w.expelled.Load() {
		return ErrExpelled
	}
	return nil
}

// Poll polls fd for events, until a Wake, or until timeout has passed. Only sleep, as
// given to Otherwise, may call it.
func (w *Waiter) Poll(fd int, events int16, timeout time.Duration) error {
	w.fds = [2]unix.PollFd{
		{Fd: int32(fd), Events: events},
		{Fd: int32(w.eventfd), Events: unix.POLLIN},
	}
	var limit *unix.Timespec
	if timeout >= 0 {
		w.timeout = unix.NsecToTimespec(int64(timeout))
		limit = &w.timeout
	}
	if errno := ppoll(w.fds[:], limit); errno != 0 && errno != unix.EINTR && errno != unix.EAGAIN {
		return os.NewSyscallError("ppoll", errno)
	}
	// A wake that found the owner asleep may write after the owner is up: the
	// eventfd is emptied whenever it is seen full, not whenever woken is.
	if w.fds[1].Revents != 0 {
		w.Quiet()
	}
	return nil
}

// Bell is the descriptor that is readable after a Wake, until Quiet.
func (w *Waiter) Bell() int { return w.eventfd }

// Quiet makes the bell unreadable. Only sleep, as given to Otherwise, may call it.
func (w *Waiter) Quiet() {
	var count [8]byte
	_, _ = unix.Read(w.eventfd, count[:])
}

// Ready tells whether the last wait ended with that event.
func (w *Waiter) Ready(event int16) bool { return w.fds[0].Revents&event != 0 }

// Woken tells whether the last Wait saw a Wake.
func (w *Waiter) Woken() bool { return w.woken }

// Wake makes the present or the next Wait return. Any goroutine may call it,
// also after Close.
func (w *Waiter) Wake() {
	if w.state.Swap(woken) != sleeping {
		return
	}
	w.life.Lock()
	defer w.life.Unlock()
	if w.eventfd < 0 || w.rouse != nil && w.rouse() {
		return
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(w.eventfd, one[:])
}

// Expel returns once the owner is out of Wait, for good.
func (w *Waiter) Expel() {
	w.expelled.Store(true)
	w.Wake()
	w.inside.Lock()
	defer w.inside.Unlock()
}

// Close gives back the descriptor. Call Expel first.
func (w *Waiter) Close() error {
	w.life.Lock()
	defer w.life.Unlock()
	if w.eventfd < 0 {
		return nil
	}
	err := os.NewSyscallError("close", unix.Close(w.eventfd))
	w.eventfd = -1
	return err
}

// Asleep tells whether the owner is in Wait, and has to be woken. Any goroutine may
// call it.
func (w *Waiter) Asleep() bool { return w.state.Load() == sleeping }
