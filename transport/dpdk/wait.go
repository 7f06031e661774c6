//go:build dpdk

package dpdk

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/waiter"
	"github.com/peregrine-rpc/peregrine/transport"
)

const (
	// Where the driver has no interrupts, Wait looks again after pauses that
	// double: an answer that comes soon is found soon, and an idle queue costs a
	// few per cent of a core.
	shortPause = 10 * time.Microsecond
	longPause  = 1280 * time.Microsecond
	// longWait bounds a wait for an interrupt: neighbours have timers too.
	longWait = 100 * time.Millisecond
)

// sleeper is how a queue waits.
type sleeper struct {
	inside sync.Mutex // held by the owner in Wait
	waiter *waiter.Waiter
	epoll  int // has the queue's interrupt; -1 where there is none
}

// openSleeper makes the queue ready to wait; interrupts says to use them where
// the driver has any.
func (q *queue) openSleeper(interrupts bool) (err error) {
	q.sleep.epoll = -1
	if q.sleep.waiter, err = waiter.New(); err != nil {
		return fmt.Errorf("dpdk: %w", err)
	}
	if !interrupts {
		return nil
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("dpdk: %w", os.NewSyscallError("epoll_create1", err))
	}
	if !q.burst.interrupts(epoll) {
		return os.NewSyscallError("close", unix.Close(epoll))
	}
	q.sleep.epoll = epoll
	return nil
}

func (s *sleeper) close() error {
	var err error
	if s.waiter != nil {
		err = s.waiter.Close()
	}
	if s.epoll >= 0 {
		err = errors.Join(err, os.NewSyscallError("close", unix.Close(s.epoll)))
	}
	return err
}

// Wait implements [transport.Transport].
func (q *queue) Wait(timeout time.Duration) error {
	q.sleep.inside.Lock()
	defer q.sleep.inside.Unlock()
	if q.closed.Load() {
		return errClosed
	}
	began := time.Now()
	for pause := shortPause; ; pause = min(2*pause, longPause) {
		fd, limit := -1, pause
		if q.idle() && q.sleep.epoll >= 0 && q.burst.arm() {
			fd, limit = q.sleep.epoll, longWait
		}
		// Whatever came before the interrupt was armed makes none, also behind a
		// burst of which nothing was ours.
		if !q.idle() || q.got > 0 || q.hears() {
			limit = 0
		} else if timeout >= 0 {
			limit = min(limit, max(0, timeout-time.Since(began)))
		}
		err := q.sleep.waiter.Wait(fd, unix.POLLIN, limit)
		if fd >= 0 {
			q.burst.disarm(fd)
		}
		switch {
		case q.closed.Load():
			return errClosed
		case err != nil:
			return fmt.Errorf("dpdk: %w", err)
		case q.full:
			q.full = false // a ring makes no event: say that there is room, once
			return nil
		case q.sleep.waiter.Woken() || !q.idle() || q.hears() || timeout >= 0 && time.Since(began) >= timeout:
			return nil
		}
	}
}

// idle looks for datagrams; true means that there are none. Other frames it deals
// with itself: were they to end Wait, an owner who waits on would spin.
func (q *queue) idle() bool {
	if q.next == q.got {
		q.poll()
	}
	var p transport.RxPacket
	for q.next < q.got && !q.accept(&q.burst.rx[q.next], &p) {
		q.free(q.burst.rx[q.next].mbuf)
		q.next++
	}
	return q.next == q.got
}

// Wake implements [transport.Transport].
func (q *queue) Wake() { q.sleep.waiter.Wake() }
