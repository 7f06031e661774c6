package side

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what this process has used since it began.
type Usage struct {
	// CPU is user and system time of all threads.
	CPU time.Duration `json:"cpu"`
	// Mallocs counts heap objects.
	Mallocs uint64 `json:"mallocs"`
}

// UsageNow reads the counters. It stops the world for some microseconds.
func UsageNow() (Usage, error) {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return Usage{}, fmt.Errorf("read the process's CPU time: %w", err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Usage{CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano()), Mallocs: m.Mallocs}, nil
}

// Memory is what this process holds, in bytes.
type Memory struct {
	Heap     int64 `json:"heap"`     // live objects
	Resident int64 `json:"resident"` // pages, of code and stacks too
}

// MemoryNow collects garbage, returns free pages to the system, and reads.
func MemoryNow() (Memory, error) {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return Memory{}, fmt.Errorf("read the process's memory: %w", err)
	}
	var total, resident int64
	if _, err := fmt.Sscan(string(text), &total, &resident); err != nil {
		return Memory{}, fmt.Errorf("read the process's memory from %q: %w", text, err)
	}
	return Memory{Heap: int64(m.HeapAlloc), Resident: resident * int64(os.Getpagesize())}, nil
}
