package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/peregrine-rpc/peregrine/bench/internal/report"
)

// measurement runs contests and keeps what came of them.
type measurement struct {
	program string
	options
	done []answered
}

// answered is a section with an answer for each contest.
type answered struct {
	section
	answers []answer
}

// answer is the run whose value is the median.
type answer struct {
	got    outcome
	beside outcome
	value  float64
	all    []float64
	failed error
}

func (m *measurement) section(ctx context.Context, s section) error {
	a := answered{section: s}
	for _, j := range s.contests {
		fmt.Fprintf(os.Stderr, "%s: %v, %v\n", s.title, j.path, j.contest)
		answer, err := m.judge(ctx, j)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if answer.failed = err; err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		a.answers = append(a.answers, answer)
	}
	m.done = append(m.done, a)
	return nil
}

func (m *measurement) judge(ctx context.Context, j judged) (answer, error) {
	var runs []answer
	for range m.runs {
		var a answer
		var err error
		if a.got, err = j.run(ctx, m.program, m.timing); err != nil {
			return a, err
		}
		if j.beside != nil {
			if a.beside, err = j.beside.run(ctx, m.program, m.timing); err != nil {
				return a, err
			}
		}
		a.value = j.judge(a.got, a.beside)
		runs = append(runs, a)
	}
	slices.SortFunc(runs, func(a, b answer) int {
		if a.value < b.value {
			return -1
		}
		return 1
	})
	median := runs[len(runs)/2]
	for _, r := range runs {
		median.all = append(median.all, r.value)
	}
	return median, nil
}

// document writes what was found.
func (m *measurement) document(revision string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Sharing a bottleneck with TCP\n")
	line("Written by `make share`: Peregrine beside the kernel's own TCP, losses as plainly as wins.\n")
	line("- machine: %v", report.ThisMachine())
	line("- revision: %s", revision)
	line("- date: %s", time.Now().UTC().Format("2006-01-02 15:04 UTC"))
	line("- method: %d runs of each contest, of which the first %v are left to settle and %v are measured; the median of what is judged, and the least and the most", m.runs, m.settle, m.measured)
	line("- ours: `peregrine perf --mode upload --size %s --window %s` over plain UDP, a process each, against one `peregrine serve`", uploadSize, uploadWindow)
	line("- TCP's: connections that send as much as they can, in this program, by `TCP_CONGESTION`; ECN is on\n")
	line("%s\n", about)
	line("## Targets\n")
	line("| claim | path | flows | target | result | reached |\n| --- | --- | --- | ---: | ---: | ---: |")
	for _, s := range m.done {
		for i, j := range s.contests {
			if j.want == (bound{}) {
				continue
			}
			a := s.answers[i]
			verdict := "**no**"
			switch {
			case a.failed != nil || !j.carried(a):
				verdict = "not measured"
			case j.want.holds(a.value):
				verdict = "yes"
			}
			line("| %s | %v | %v | %v | %s | %s |", s.value, j.path, j.contest, j.want, a.text(), verdict)
		}
	}
	for _, s := range m.done {
		line("\n## %s\n\n%s\n", s.title, s.about)
		others := "of the others"
		if s.latency {
			others = "p99 beside it, and idle"
		}
		line("| path | flows | Mbit/s of the first | %s | %s | least, most |\n| --- | --- | ---: | ---: | ---: | ---: |", others, s.value)
		for i, j := range s.contests {
			a := s.answers[i]
			right := a.got.right
			if j.beside != nil {
				right = a.beside.left
			}
			second := rates(right)
			if s.latency {
				second = fmt.Sprintf("%v, %v", a.got.p99.Round(time.Microsecond), a.beside.p99.Round(time.Microsecond))
			}
			spread := ""
			if len(a.all) > 0 {
				spread = fmt.Sprintf("%.2f, %.2f", a.all[0], a.all[len(a.all)-1])
			}
			line("| %v | %v | %s | %s | %s | %s |", j.path, j.contest, rates(a.got.left), second, a.text(), spread)
		}
	}
	return b.String()
}

// carried says whether the flows filled the path, or TCP alone did: if not, it was
// the machine that did not carry it. Who loses by chance need not fill it.
func (j judged) carried(a answer) bool {
	most := max(total(a.got.left)+total(a.got.right), total(a.beside.left))
	return j.loss > 0 || most >= 0.75*float64(j.rate)
}

func (a answer) text() string {
	if a.failed != nil {
		return "failed"
	}
	return fmt.Sprintf("%.2f", a.value)
}

// rates are in Mbit/s.
func rates(list []float64) string {
	var cells []string
	for _, r := range list {
		cells = append(cells, fmt.Sprintf("%.1f", r/1e6))
	}
	return strings.Join(cells, " ")
}

const about = "Client and server are in network namespaces of their own. A path with `tbf` goes by veth pairs through a third, whose\n" +
	"kernel forwards with a token bucket toward the server: the round trip is some tens of microseconds, and the queue holds\n" +
	"10 ms. Other paths go through a relay in this program, between two tunnels: a queue of 10 ms or a round trip, and the\n" +
	"round trip that is named; *ECN* marks as `red` does, by chance from a quarter of the queue on, and all from half of it on. The\n" +
	"kernel's `netem`, `red` and `fq_codel` are not asked for, since many kernels have none; a queue for each flow leaves nothing\n" +
	"to share either. All of it runs at the highest priority, since a relay that waits for a CPU is another path.\n\n" +
	"*Not measured* is where a program failed, or the flows left a quarter of the path or more unused: the machine did not\n" +
	"carry it, having other things to do."
