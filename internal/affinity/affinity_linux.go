package affinity

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Pin locks the calling goroutine to its thread and that thread to one CPU,
// counted from 0. The same goroutine calls undo, once, to be free again; one
// that ends without it takes the thread along.
//
// GOMAXPROCS does not change: leave room for one thread more than are pinned.
func Pin(cpu int) (undo func(), err error) {
	runtime.LockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("cannot read the thread's CPUs: %w", err)
	}
	if err := setThread(0, []int{cpu}); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	return func() {
		// A thread that cannot have its old CPUs back is not fit for other
		// goroutines: it stays locked, and ends with this one.
		if unix.SchedSetaffinity(0, &before) == nil {
			runtime.UnlockOSThread()
		}
	}, nil
}

// SetProcess moves every thread of this process to the given CPUs. Threads that
// start later inherit them from the thread that starts them.
func SetProcess(cpus ...int) error {
	// A thread may start another behind the back of the listing, with the old
	// CPUs: list until nothing new turns up.
	moved := map[int]bool{}
	for {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("cannot list the threads of this process: %w", err)
		}
		news := false
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil || moved[tid] {
				continue
			}
			if err := setThread(tid, cpus); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
			moved[tid], news = true, true
		}
		if !news {
			return nil
		}
	}
}

// setThread gives a thread its CPUs; thread 0 is the calling one.
func setThread(tid int, cpus []int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
		if cpu < 0 || !set.IsSet(cpu) {
			return fmt.Errorf("there is no CPU %d: count from 0 to %d", cpu, runtime.NumCPU()-1)
		}
	}
	err := unix.SchedSetaffinity(tid, &set)
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("CPUs %v are offline, absent or kept from this process (see nproc and the cpuset of its cgroup): %w", cpus, err)
	}
	if err != nil {
		return fmt.Errorf("cannot move thread %d to CPUs %v: %w", tid, cpus, err)
	}
	return nil
}
