package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/internal/cacheline"
)

// lineTime is how long the cache line travels for one figure.
const lineTime = 20 * time.Millisecond

// linePath is the two CPUs that the sides run on.
type linePath struct {
	client, server int
	err            error // the last reason why it could not be measured
}

// chooseCPUs takes the CPUs the sides are pinned to, and for one that is not
// pinned another CPU than the other's.
func chooseCPUs(client, server int) *linePath {
	if client == unpinned {
		client = otherThan(server)
	}
	if server == unpinned {
		server = otherThan(client)
	}
	return &linePath{client: client, server: server}
}

func otherThan(cpu int) int {
	if cpu == 0 {
		return 1
	}
	return 0
}

// roundTrip returns 0 where it cannot be measured; the figures stand without.
func (l *linePath) roundTrip() time.Duration {
	rtt, err := cacheline.RoundTrip(l.client, l.server, lineTime)
	if err != nil {
		l.err = err
	}
	return rtt
}

// perfParameters says under which conditions a result came about.
type perfParameters struct {
	Target     string  `json:"target"`
	Transport  string  `json:"transport"`
	Backend    string  `json:"backend"`
	Mode       string  `json:"mode"`
	Size       int     `json:"size"`
	Window     int     `json:"window"`
	Sessions   int     `json:"sessions"`
	Duration   float64 `json:"duration_s"`
	Warmup     float64 `json:"warmup_s"`
	CPU        int     `json:"cpu"`
	ServerCPU  int     `json:"server_cpu"`
	Poll       string  `json:"poll"`
	Call       bool    `json:"call"`
	Raw        bool    `json:"raw"`
	NoCoalesce bool    `json:"no_coalesce"`
	NoOffload  bool    `json:"no_offload"`
	Fault      string  `json:"fault,omitempty"`
	CC         string  `json:"cc,omitempty"`
}

func (p *perfCommand) parameters(serverCPU int, backend string) perfParameters {
	return perfParameters{
		Target: p.target.text, Transport: p.url(p.transport), Backend: backend, Mode: p.mode,
		Size: int(p.size), Window: p.window, Sessions: p.sessions,
		Duration: p.duration.Seconds(), Warmup: p.warmup.Seconds(), CPU: p.cpu, ServerCPU: serverCPU,
		Poll: p.poll.String(), Call: p.call, Raw: p.raw, NoCoalesce: p.noCoalesce, NoOffload: p.noOffload, Fault: p.fault, CC: p.cc,
	}
}

// what describes the measured work in a few words.
func (p *perfCommand) what() string {
	verb := "echo"
	if p.mode == "upload" || p.mode == "download" {
		verb = p.mode
	}
	if p.raw {
		parts := []string{"raw " + verb + " of " + measure.Size(int(p.size))}
		if p.mode != "upload" {
			parts = append(parts, fmt.Sprintf("%d outstanding", p.window))
		}
		return strings.Join(parts, ", ")
	}
	form := "continuations"
	if p.call {
		form = measure.Plural(p.window, "goroutine") + " in Call"
	}
	return fmt.Sprintf("%s of %s, %d outstanding over %s, %s",
		verb, measure.Size(int(p.size)), p.window, measure.Plural(p.sessions, "session"), form)
}

// print writes the result for people.
func (p *perfCommand) print(r measure.Result, backend string, line *linePath) {
	w := p.out
	unit := "RPC"
	if p.raw {
		unit = "datagram"
	}
	width := measure.Width(w)
	fmt.Fprintln(w, measure.Fold(fmt.Sprintf("%s, %s, %.3g s", p.what(), backend, r.Seconds), width, 0))
	fmt.Fprintf(w, "%s\n\n", measure.Fold(line.describe(r), width, 0))
	row := func(name, format string, args ...any) {
		const indent = 20
		text := fmt.Sprintf("  %-18s"+format, append([]any{name}, args...)...)
		fmt.Fprintln(w, measure.Fold(text, width, indent))
	}
	row("rate", "%s %ss/s", measure.Count(r.Rate), unit)
	if r.Max > 0 {
		row("latency", "p50 %s, p99 %s, p99.9 %s, max %s",
			measure.Micros(r.P50), measure.Micros(r.P99), measure.Micros(r.P999), measure.Micros(r.Max))
	}
	row("goodput", "%.3g Gbit/s", r.Goodput)
	row("CPU per "+unit, "client %s, server %s", cpuTime(r.ClientCPU), cpuTime(r.ServerCPU))
	row("system calls", "client %s, server %s per %s", fewDigits(r.Syscalls), fewDigits(r.ServerSyscalls), unit)
	row("allocations", "client %.2f, server %.2f per %s", r.Allocs, r.ServerAllocs, unit)
	row("collections", "client %d, server %d, of garbage", r.Collections, r.ServerCollections)
	if p.raw {
		row("lost", "%d", r.Lost)
	} else {
		row("retransmitted", "%d", r.Retransmits)
	}
	if r.ZeroCopied+r.ZeroCopyCopied > 0 {
		row("zero copy", "%d messages without a copy, %d copied all the same", r.ZeroCopied, r.ZeroCopyCopied)
	}
	row("errors", "%d", r.Errors)
}

// fewDigits writes two digits that say something, also of a small number, or all before
// the point.
func fewDigits(v float64) string {
	if v < 99.5 {
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// cpuTime writes nanoseconds.
func cpuTime(ns float64) string {
	if ns < 1000 {
		return fmt.Sprintf("%.0f ns", ns)
	}
	return measure.Micros(ns / 1e3)
}

// describe says how far apart the CPUs are.
func (l *linePath) describe(r measure.Result) string {
	if l.err != nil {
		return fmt.Sprintf("cache line round trip not measured: %v", l.err)
	}
	say := func(ns int64) string {
		return fmt.Sprintf("%d ns (%s)", ns, cacheline.Label(time.Duration(ns)))
	}
	return fmt.Sprintf("cache line round trip between CPUs %d and %d: %s before, %s after",
		l.client, l.server, say(r.CacheLine), say(r.CacheLineAfter))
}
