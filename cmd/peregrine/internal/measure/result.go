package measure

import (
	"os"
	"runtime"
	"time"
)

// Result is one measurement. Fields that a mode has no use for are zero.
type Result struct {
	// Rate is completed calls (or raw echoes) a second.
	Rate float64 `json:"rate_rps"`
	Latency
	// Goodput is application bytes that arrived, in 10^9 bits a second.
	Goodput float64 `json:"goodput_gbps"`
	// Allocs and ServerAllocs are heap objects per call on either side.
	Allocs       float64 `json:"allocs_per_rpc"`
	ServerAllocs float64 `json:"server_allocs_per_rpc"`
	// ClientCPU and ServerCPU are nanoseconds of the whole process per call.
	ClientCPU float64 `json:"client_cpu_ns_per_rpc"`
	ServerCPU float64 `json:"server_cpu_ns_per_rpc"`
	// Syscalls and ServerSyscalls are how often either side's transport asked the
	// kernel, or its device, per call, also in vain.
	Syscalls       float64 `json:"syscalls_per_rpc"`
	ServerSyscalls float64 `json:"server_syscalls_per_rpc"`
	// Collections and ServerCollections count garbage collections.
	Collections       uint64 `json:"collections"`
	ServerCollections uint64 `json:"server_collections"`
	// Retransmits counts packets sent again, by both sides.
	Retransmits uint64 `json:"retransmits"`
	// ZeroCopied counts messages that the client's transport has sent without a copy,
	// from its beginning on, ZeroCopyCopied those that were copied though asked not to.
	ZeroCopied     uint64 `json:"zero_copied"`
	ZeroCopyCopied uint64 `json:"zero_copy_copied"`
	// Errors counts calls that failed, never ended, or got a wrong reply.
	Errors uint64 `json:"errors"`
	// FirstError is the text of the first of them.
	FirstError string `json:"first_error,omitempty"`
	// Lost counts raw datagrams that did not come back; engines resend them.
	Lost uint64 `json:"lost,omitempty"`
	// Calls is how many were completed in Seconds, the measured time.
	Calls   uint64  `json:"calls"`
	Seconds float64 `json:"seconds"`
	// CacheLine and CacheLineAfter are round trips between the two sides'
	// CPUs, in nanoseconds; 0 where they could not be measured.
	CacheLine      int64 `json:"cacheline_rtt_ns"`
	CacheLineAfter int64 `json:"cacheline_rtt_after_ns"`

	Parameters any     `json:"parameters,omitempty"`
	Machine    Machine `json:"machine"`
}

// Per sets Rate, Allocs, CPU, Syscalls and Collections from what the two sides used for n
// calls in d.
func (r *Result) Per(n uint64, d time.Duration, client, server Usage) {
	r.Calls, r.Seconds = n, d.Seconds()
	r.Collections, r.ServerCollections = client.Collections, server.Collections
	if n == 0 || d <= 0 {
		return
	}
	calls := float64(n)
	r.Rate = calls / d.Seconds()
	r.Allocs = float64(client.Mallocs) / calls
	r.ServerAllocs = float64(server.Mallocs) / calls
	r.ClientCPU = float64(client.CPU) / calls
	r.ServerCPU = float64(server.CPU) / calls
	r.Syscalls = float64(client.Syscalls) / calls
	r.ServerSyscalls = float64(server.Syscalls) / calls
}

// Gigabits is n bytes in d as 10^9 bits a second.
func Gigabits(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) * 8 / float64(d)
}

// Machine says where and when a measurement was made.
type Machine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
	Host string `json:"host"`
	Date string `json:"date"`
}

// ThisMachine describes the machine, at the present time.
func ThisMachine() Machine {
	host, _ := os.Hostname()
	return Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(),
		Go: runtime.Version(), Host: host, Date: time.Now().UTC().Format(time.RFC3339),
	}
}
