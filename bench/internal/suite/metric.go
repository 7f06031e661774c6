package suite

import (
	"fmt"
	"strconv"
)

// Metric is a figure of a run.
type Metric struct {
	Key    string // as in the run's result
	Name   string // as in a table's head, with the unit
	Format func(float64) string
}

// The figures of a run, as `peregrine perf --json` and the programs of this
// module name them.
var (
	Rate         = Metric{"rate_rps", "RPC/s", count}
	P50          = Metric{"p50_us", "p50", micros}
	P99          = Metric{"p99_us", "p99", micros}
	P999         = Metric{"p999_us", "p99.9", micros}
	Max          = Metric{"max_us", "max", micros}
	Goodput      = Metric{"goodput_gbps", "Gbit/s", threeDigits}
	ClientCPU    = Metric{"client_cpu_ns_per_rpc", "CPU per RPC, client", nanos}
	ServerCPU    = Metric{"server_cpu_ns_per_rpc", "server", nanos}
	ClientCPUKiB = Metric{"client_cpu_ns_per_kib", "CPU per KiB, client", nanos}
	ServerCPUKiB = Metric{"server_cpu_ns_per_kib", "server", nanos}
	ClientAllocs = Metric{"allocs_per_rpc", "allocations per RPC, client", hundredths}
	ServerAllocs = Metric{"server_allocs_per_rpc", "server", hundredths}
	BothAllocs   = Metric{"both_allocs_per_rpc", "allocations per RPC, both", hundredths}
	BothSyscalls = Metric{"both_syscalls_per_rpc", "system calls per RPC, both", small}
	ZeroCopied   = Metric{"zero_copied", "sent without a copy", whole}
	Copied       = Metric{"zero_copy_copied", "copied all the same", whole}
	Retransmits  = Metric{"retransmits", "retransmitted", whole}

	ClientCollections = Metric{"collections", "garbage collections, client", whole}
	ServerCollections = Metric{"server_collections", "server", whole}

	NanosPerOp  = Metric{"ns/op", "time per RPC", nanos}
	CPUPerOp    = Metric{"cpu-ns/op", "CPU per handshake", nanos}
	AllocsPerOp = Metric{"allocs/op", "allocations per RPC", whole}

	LargerResident = Metric{"larger_resident", "B per session, larger side", whole}
	BothResident   = Metric{"both_resident", "resident B, both sides", whole}
	ClientResident = Metric{"client_resident", "client resident B", whole}
	ServerResident = Metric{"server_resident", "server resident B", whole}
	ClientHeap     = Metric{"client_heap", "client heap B", whole}
	ServerHeap     = Metric{"server_heap", "server heap B", whole}
)

// OfNone is the rate under a controller as a part of that under none.
func OfNone(controller string) Metric {
	return Metric{controller + "/none", "rate, " + controller + " / none", ratio}
}

func whole(v float64) string      { return fmt.Sprintf("%.0f", v) }
func hundredths(v float64) string { return fmt.Sprintf("%.2f", v) }
func ratio(v float64) string      { return threeDigits(v) + " ×" }
func micros(v float64) string     { return nanos(v * 1e3) }

// small writes two digits that say something, or all before the point.
func small(v float64) string {
	if v < 99.5 {
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	return whole(v)
}

// threeDigits writes three digits, or all before the point.
func threeDigits(v float64) string {
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	}
	return whole(v)
}

// count writes three digits and a prefix.
func count(v float64) string {
	switch {
	case v < 999.5:
		return whole(v)
	case v < 999.5e3:
		return threeDigits(v/1e3) + " k"
	}
	return threeDigits(v/1e6) + " M"
}

// nanos writes a time in the unit that fits.
func nanos(v float64) string {
	switch {
	case v < 999.5:
		return whole(v) + " ns"
	case v < 999.5e3:
		return threeDigits(v/1e3) + " µs"
	}
	return threeDigits(v/1e6) + " ms"
}
