package experiment

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// fair is the least Jain index that counts as equal shares.
const fair = 0.95

// SteadyRun is one run of equal flows that began within a millisecond. Times
// are in microseconds.
type SteadyRun struct {
	Controller string  `json:"cc"`
	Rate       uint64  `json:"rate_bps"`
	Flows      int     `json:"flows"`
	Goodput    float64 `json:"goodput_bps"`
	Jain       float64 `json:"jain"`
	Least      float64 `json:"least_share"` // of a fair one
	Most       float64 `json:"most_share"`
	QueueP50   float64 `json:"queue_p50_us"`
	QueueP99   float64 `json:"queue_p99_us"`
}

func steady(c conditions, n int, d time.Duration) (*SteadyRun, error) {
	r := newRack(c)
	server, flows, err := r.incast(n)
	if err != nil {
		return nil, err
	}
	server.watch()
	for _, f := range flows {
		r.At(r.Now()+time.Duration(r.Rand().Int64N(int64(time.Millisecond))), func() { f.begin(requestSize, 1) })
	}
	from := r.measure(d)
	goodput := rates(flows, from, r.Now())
	queue := server.queued.during(from, r.Now()).quantiles(0.5, 0.99)
	share := total(goodput) / float64(n)
	return &SteadyRun{
		Controller: c.controller, Rate: c.rate, Flows: n, Goodput: total(goodput), Jain: jain(goodput),
		Least: slices.Min(goodput) / share, Most: slices.Max(goodput) / share,
		QueueP50: micros(queue[0]), QueueP99: micros(queue[1]),
	}, r.failure()
}

// ChurnRun is one run of flows that join one after the other, and leave in the
// same order. Times are in microseconds.
type ChurnRun struct {
	Controller string  `json:"cc"`
	Rate       uint64  `json:"rate_bps"`
	Flows      int     `json:"flows"`
	Goodput    float64 `json:"goodput_bps"`
	QueueP50   float64 `json:"queue_p50_us"`
	QueueP99   float64 `json:"queue_p99_us"`
	// Joined and Left are the changes with two flows or more after them.
	Joined []Change `json:"joined"`
	Left   []Change `json:"left"`
	Step   float64  `json:"step_us"`

	flows      []*flow
	start, end time.Duration
}

// Change is what a flow that came or went led to.
type Change struct {
	// Fair is how long it took until shares stayed fair, the whole step if they
	// did not. Jain is the index of the step's last millisecond.
	Fair float64 `json:"fair_us"`
	Jain float64 `json:"jain"`
}

// fairTicks is over how many ticks shares are compared.
const fairTicks = 4

func churn(c conditions, n int, step time.Duration) (*ChurnRun, error) {
	r := newRack(c)
	server, err := r.join(c.controller)
	if err != nil {
		return nil, err
	}
	server.watch()
	run := &ChurnRun{Controller: c.controller, Rate: c.rate, Flows: n, Step: micros(step), start: r.Now()}
	for range n {
		// Whoever joins meets the others' queue from the handshake on.
		client, err := r.join(c.controller)
		if err != nil {
			return nil, err
		}
		f, err := r.connect(client, server)
		if err != nil {
			return nil, err
		}
		if err := r.settle(); err != nil {
			return nil, err
		}
		f.begin(requestSize, 1)
		run.flows = append(run.flows, f)
		r.Run(step)
		run.Joined = changed(run.Joined, run.flows, r.Now(), step)
	}
	for i := range n - 1 {
		run.flows[i].end()
		r.Run(step)
		run.Left = changed(run.Left, run.flows[i+1:], r.Now(), step)
	}
	run.end = r.Now()
	run.Goodput = total(rates(run.flows, run.start, run.end))
	queue := server.queued.quantiles(0.5, 0.99)
	run.QueueP50, run.QueueP99 = micros(queue[0]), micros(queue[1])
	return run, r.failure()
}

// changed appends what became of the change a step before now.
func changed(list []Change, flows []*flow, now, step time.Duration) []Change {
	if len(flows) < 2 {
		return list
	}
	index := func(at time.Duration) float64 { return jain(rates(flows, at, at+fairTicks*tick)) }
	last := now - fairTicks*tick
	fairAfter := time.Duration(0)
	for at := last; at >= now-step; at -= tick {
		if index(at) < fair {
			fairAfter = min(at+(fairTicks+1)*tick-(now-step), step)
			break
		}
	}
	return append(list, Change{micros(fairAfter), index(last)})
}

func runFairness(ctx context.Context, p Plan) (*Report, error) {
	report := &Report{Name: "fairness"}
	rate, d := cmp.Or(p.Rate, usualRate), cmp.Or(p.Duration, usualDuration)
	var runs []any
	equal := Table{Name: "fairness", Caption: "Equal flows"}
	equal.Header = []string{
		"flows", "rate", "cc", "goodput Gbit/s", "Jain", "least share", "most share", "queue p50", "queue p99",
	}
	for _, n := range either(p.Clients, 2, 5, 10, 20, 50) {
		err := p.each(ctx, func(controller string) error {
			run, err := steady(conditions{ctx, controller, p.Seed, rate, 0}, n, d)
			if err != nil {
				return err
			}
			runs = append(runs, run)
			equal.Rows = append(equal.Rows, run.row())
			if controller != baseline {
				claim := fmt.Sprintf("%d equal flows: Jain's index", n)
				report.Targets = append(report.Targets, atLeast(claim, controller, fair, run.Jain))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%d equal flows: %w", n, err)
		}
	}

	step := (d / 10).Truncate(tick)
	moving := Table{Name: "churn", Caption: fmt.Sprintf("Flows that join %v apart, and then leave in the same order", step)}
	moving.Header = []string{
		"flows", "rate", "cc", "goodput Gbit/s", "queue p50", "queue p99",
		"fair after a join", "Jain then", "least", "fair after a leave", "Jain then", "least",
	}
	for _, n := range either(p.Clients, 2, 4, 8) {
		chart := Chart{
			Name:  fmt.Sprintf("churn-%d", n),
			Title: fmt.Sprintf("%d flows join and leave a link of %s", n, rateName(rate)),
			X:     Axis{Label: "ms"},
			Y:     Axis{Label: "goodput, Gbit/s"},
		}
		err := p.each(ctx, func(controller string) error {
			run, err := churn(conditions{ctx, controller, p.Seed, rate, 0}, n, step)
			if err != nil {
				return err
			}
			runs = append(runs, run)
			moving.Rows = append(moving.Rows, run.row())
			chart.Panels = append(chart.Panels, run.panel())
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%d flows that join and leave: %w", n, err)
		}
		report.Charts = append(report.Charts, chart)
	}
	report.Runs, report.Tables = runs, []Table{equal, moving}
	return report, context.Cause(ctx)
}

func (s *SteadyRun) row() []string {
	return []string{
		fmt.Sprint(s.Flows), rateName(s.Rate), s.Controller, gigabits(s.Goodput), fmt.Sprintf("%.3f", s.Jain),
		fmt.Sprintf("%.2f", s.Least), fmt.Sprintf("%.2f", s.Most), measure.Micros(s.QueueP50), measure.Micros(s.QueueP99),
	}
}

func (run *ChurnRun) row() []string {
	cells := []string{
		fmt.Sprint(run.Flows), rateName(run.Rate), run.Controller, gigabits(run.Goodput),
		measure.Micros(run.QueueP50), measure.Micros(run.QueueP99),
	}
	for _, changes := range [][]Change{run.Joined, run.Left} {
		if len(changes) == 0 { // one of two left
			cells = append(cells, "", "", "")
			continue
		}
		var after, index []float64
		for _, c := range changes {
			after, index = append(after, c.Fair), append(index, c.Jain)
		}
		slices.Sort(after)
		slices.Sort(index)
		median := "never"
		if us := after[len(after)/2]; us < run.Step {
			median = measure.Micros(us)
		}
		cells = append(cells, median, fmt.Sprintf("%.3f", index[len(index)/2]), fmt.Sprintf("%.3f", index[0]))
	}
	return cells
}

func (run *ChurnRun) panel() Panel {
	panel := Panel{Title: run.Controller}
	const step = 2 * tick
	for i, f := range run.flows {
		line := Line{Name: fmt.Sprintf("flow %d", i+1)}
		for at := run.start; at+step <= run.end; at += step {
			line.X = append(line.X, (at+step/2-run.start).Seconds()*1e3)
			line.Y = append(line.Y, f.arrived.rate(at, at+step)/1e9)
		}
		panel.Lines = append(panel.Lines, line)
	}
	return panel
}
