package measure

import (
	"runtime"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Usage is what this process has used since it began. Subtract an earlier one
// to get a period's.
type Usage struct {
	// CPU is user and system time of all threads.
	CPU time.Duration `json:"cpu_ns"`
	// Mallocs counts heap objects.
	Mallocs uint64 `json:"mallocs"`
	// Collections counts garbage collections.
	Collections uint64 `json:"collections"`
	// Syscalls is how often the transport asked the kernel, or its device, to send
	// and to receive, also in vain.
	Syscalls uint64 `json:"syscalls"`
}

// UsageNow reads the counters, with those of the transport as given. It stops the
// world for some microseconds.
func UsageNow(tr transport.Stats) Usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Usage{CPU: cpuTime(), Mallocs: m.Mallocs, Collections: uint64(m.NumGC), Syscalls: tr.RxCalls + tr.TxCalls}
}

// Since returns what was used from earlier to u.
func (u Usage) Since(earlier Usage) Usage {
	return Usage{
		CPU: u.CPU - earlier.CPU, Mallocs: u.Mallocs - earlier.Mallocs, Collections: u.Collections - earlier.Collections,
		Syscalls: u.Syscalls - earlier.Syscalls,
	}
}
