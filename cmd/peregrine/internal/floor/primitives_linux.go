package floor

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/affinity"
)

// batch is how many repetitions one reading of the clock covers.
const batch = 256

// SystemCall is the median cost of a system call that does nothing.
func SystemCall(d time.Duration) time.Duration {
	return perCall(d, func() { _, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0) })
}

// Clock is the median cost of reading the clock.
func Clock(d time.Duration) time.Duration {
	base := time.Now()
	var last time.Duration
	cost := perCall(d, func() { last = time.Since(base) })
	runtime.KeepAlive(last)
	return cost
}

// perCall repeats f for d. Interruptions only ever add time, and a median leaves
// them out.
func perCall(d time.Duration, f func()) time.Duration {
	var batches []time.Duration
	for begin := time.Now(); len(batches) == 0 || time.Since(begin) < d; {
		start := time.Now()
		for range batch {
			f()
		}
		batches = append(batches, time.Since(start))
	}
	slices.Sort(batches)
	return batches[len(batches)/2] / batch
}

// Nap is how long the timed sleeps are.
const Nap = 50 * time.Microsecond

// Timer is how much later than asked a thread on that CPU wakes from a sleep of Nap,
// and the slack that the kernel may add to its timers.
func Timer(cpu int, d time.Duration) (p50, p99, slack time.Duration, err error) {
	undo, err := affinity.Pin(cpu)
	if err != nil {
		return 0, 0, 0, err
	}
	defer undo()
	if ns, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err == nil {
		slack = time.Duration(ns)
	}
	var late []time.Duration
	for begin := time.Now(); len(late) == 0 || time.Since(begin) < d; {
		timeout := unix.NsecToTimespec(int64(Nap))
		start := time.Now()
		if _, err := unix.Ppoll(nil, &timeout, nil); err != nil {
			if err == unix.EINTR { // the runtime's own signal
				continue
			}
			return 0, 0, 0, fmt.Errorf("sleep in ppoll: %w", err)
		}
		late = append(late, time.Since(start)-Nap)
	}
	slices.Sort(late)
	return late[len(late)/2], late[len(late)*99/100], slack, nil
}
