package measure

import (
	"runtime"
	"time"
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
}

// UsageNow reads the counters. It stops the world for some microseconds.
func UsageNow() Usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Usage{CPU: cpuTime(), Mallocs: m.Mallocs, Collections: uint64(m.NumGC)}
}

// Since returns what was used from earlier to u.
func (u Usage) Since(earlier Usage) Usage {
	return Usage{
		CPU: u.CPU - earlier.CPU, Mallocs: u.Mallocs - earlier.Mallocs, Collections: u.Collections - earlier.Collections,
	}
}
