package doctor

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/internal/cacheline"
)

// Measured is figures of this host. Those that could not be had are 0.
type Measured struct {
	// CPUs are those that the two ends were tied to; the same where there is one.
	CPUs [2]int `json:"cpus"`
	// CacheLine is a cache line's round trip between them, Timer by how much a sleep
	// is longer than asked, Slack what the kernel may add to it.
	CacheLine  time.Duration `json:"cacheline_rtt_ns"`
	SystemCall time.Duration `json:"system_call_ns"`
	Clock      time.Duration `json:"clock_ns"`
	Timer      time.Duration `json:"timer_late_ns"`
	TimerP99   time.Duration `json:"timer_late_p99_ns"`
	Slack      time.Duration `json:"timer_slack_ns"`
	Floors     []Floor       `json:"floors"`
}

// Floor is a backend over this host's loopback or veth: the raw datagrams, which no
// program outdoes, and Peregrine's small calls. Latencies are medians in µs with one
// outstanding, rates are of 64.
type Floor struct {
	Backend string  `json:"backend"`
	Error   string  `json:"error,omitempty"` // why it was not measured
	RawP50  float64 `json:"raw_p50_us"`
	P50     float64 `json:"p50_us"`
	RawRate float64 `json:"raw_rate"`
	Rate    float64 `json:"rate"`
}

// Above these a figure is worth a word.
const (
	slowCall  = 500 * time.Nanosecond
	slowClock = 100 * time.Nanosecond
	lateTimer = 200 * time.Microsecond
)

func checkMeasured(r *report) {
	m := r.Measured
	if m == nil {
		return
	}
	if m.CacheLine >= cacheline.NearLimit {
		r.find("cpu-far", fmt.Sprintf("A cache line takes %v there and back between CPUs %d and %d.", m.CacheLine, m.CPUs[0], m.CPUs[1]),
			"Take CPUs that share a cache (lscpu -e shows which); compare only runs that were labelled far with each other.")
	}
	if m.SystemCall > slowCall {
		r.find("slow-system-call", fmt.Sprintf("A system call that does nothing takes %v.", m.SystemCall),
			"grep . /sys/devices/system/cpu/vulnerabilities/*     # mitigations", "Seccomp filters, audit rules and tracing cost as well: auditctl -l.")
	}
	if m.Clock > slowClock {
		r.find("slow-clock", fmt.Sprintf("Reading the clock takes %v.", m.Clock), "cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
	}
	if m.Timer > lateTimer {
		r.find("late-timer", fmt.Sprintf("A sleep is %v longer than asked, and one in a hundred %v.", m.Timer, m.TimerP99),
			"Loops that poll do not sleep: --poll busy.", "See cpu-idle, cpu-stolen and what else runs.")
	}
	i, j := m.floor("iouring"), m.floor("udp")
	if i != nil && j != nil && i.Rate > 0 && i.Rate < j.Rate && i.P50 > j.P50 {
		r.find("uring-no-faster", fmt.Sprintf("io_uring makes %s calls a second here, and plain UDP %s.", measure.Count(i.Rate), measure.Count(j.Rate)), "Take udp://.")
	}
}

func (m *Measured) floor(backend string) *Floor {
	i := slices.IndexFunc(m.Floors, func(f Floor) bool { return f.Backend == backend && f.Error == "" })
	if i < 0 {
		return nil
	}
	return &m.Floors[i]
}

// print writes the figures for people.
func (m *Measured) print(w io.Writer) error {
	if m.CacheLine > 0 {
		fmt.Fprintf(w, "  cache line   %v between CPUs %d and %d (%s)\n", m.CacheLine, m.CPUs[0], m.CPUs[1], cacheline.Label(m.CacheLine))
	}
	fmt.Fprintf(w, "  system call  %v\n  clock        %v\n  timer        %s late, p99 %s (slack %s)\n\n",
		m.SystemCall, m.Clock, measure.Short(m.Timer), measure.Short(m.TimerP99), measure.Short(m.Slack))
	t := measure.Table{Header: []string{"backend", "floor p50", "Peregrine", "ratio", "floor rate/s", "Peregrine", "ratio"}}
	for _, f := range m.Floors {
		if f.Error == "" {
			t.Rows = append(t.Rows, []string{
				f.Backend, measure.Micros(f.RawP50), measure.Micros(f.P50), times(f.P50, f.RawP50),
				measure.Count(f.RawRate), measure.Count(f.Rate), times(f.Rate, f.RawRate),
			})
		}
	}
	if len(t.Rows) > 0 {
		if err := t.Write(w); err != nil {
			return err
		}
	}
	for _, f := range m.Floors {
		if f.Error != "" {
			fmt.Fprintf(w, "%s was not measured: %s\n", f.Backend, f.Error)
		}
	}
	_, err := fmt.Fprint(w, "One process, one CPU a side. Latencies have one outstanding, rates 64.\n"+
		"The floor is datagrams of 60 bytes without the engine, Peregrine's calls have 32.\n")
	return err
}

func times(a, b float64) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", a/b)
}
