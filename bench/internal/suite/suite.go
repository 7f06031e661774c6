package suite

import (
	"context"

	"github.com/peregrine-rpc/peregrine/bench/internal/run"
	"github.com/peregrine-rpc/peregrine/bench/internal/stat"
)

// Case is one way to run a server and a client.
type Case struct {
	Name string
	run.Runner
}

// Group is what is compared with each other.
type Group struct {
	Title string
	About string // what a reader has to know to understand the figures
	Cases []Case
	// Main is the figure that the group is about, shown at each of the
	// machine's speeds; Others are shown once.
	Main   Metric
	Others []Metric
	Claims []Claim
}

// Claim is a figure of one case, or its ratio to another's, and what it has to
// be.
type Claim struct {
	Text   string
	Metric Metric
	Of, To string // names of cases; without To the figure itself is judged
	Least  bool   // or Of's least figure in ratio to its median
	Bound  Bound
}

// Row is a case with its runs.
type Row struct {
	Case
	Series   stat.Series
	Failures []error
}

// Result is a measured group.
type Result struct {
	Group
	Rows     []Row
	Verdicts []Verdict
}

// Measure runs the cases rounds times. told is called before each run.
func (g Group) Measure(ctx context.Context, rounds int, told func(round int, c Case)) (Result, error) {
	var runners []run.Runner
	for _, c := range g.Cases {
		runners = append(runners, c.Runner)
	}
	series, failures, err := run.Rounds(ctx, runners, rounds, func(round, i int) { told(round, g.Cases[i]) })
	if err != nil {
		return Result{}, err
	}
	result := Result{Group: g}
	for i, c := range g.Cases {
		result.Rows = append(result.Rows, Row{Case: c, Series: series[i], Failures: failures[i]})
	}
	for _, c := range g.Claims {
		result.Verdicts = append(result.Verdicts, c.judge(result.Rows))
	}
	return result, nil
}

// Failures counts runs without a result.
func (r Result) Failures() (n int) {
	for _, row := range r.Rows {
		n += len(row.Failures)
	}
	return n
}
