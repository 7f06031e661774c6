package experiment

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// ChangeRun is one run of uploads over a road to which something happens. Times are
// in microseconds.
type ChangeRun struct {
	Controller string  `json:"cc"`
	What       string  `json:"what"`
	Rate       uint64  `json:"rate_bps"`
	Goodput    float64 `json:"goodput_bps"`
	// Used is the goodput as a part of the rate, headers included.
	Used     float64 `json:"used"`
	QueueP50 float64 `json:"queue_p50_us"`
	QueueP99 float64 `json:"queue_p99_us"`
	Drops    uint64  `json:"drops"`
}

// change is what happens to a road with flows, of whose time so much is measured.
type change struct {
	what  string
	way   way
	flows int
	d     time.Duration // of each part, of which the last is measured
	rate  uint64        // then
	do    func(r *road, flows []*flow, d time.Duration)
}

// changes are those of experiment change.
func changes(rate uint64, d time.Duration) []change {
	begin := func(flows []*flow) {
		for _, f := range flows {
			f.begin(roadUpload, roadUploads)
		}
	}
	ordinary := way{rate, 500 * time.Microsecond}
	turned := func(what string, then uint64) change {
		return change{what, ordinary, 1, d, then, func(r *road, flows []*flow, d time.Duration) {
			begin(flows)
			r.Run(d)
			r.neck.SetRate(then)
			r.Run(d)
		}}
	}
	return []change{
		{"a pause of a second", ordinary, 1, d, rate, func(r *road, flows []*flow, d time.Duration) {
			begin(flows)
			r.Run(d)
			flows[0].ended = true // what is under way is the last
			r.Run(d + time.Second)
			flows[0].ended = false
			begin(flows)
		}},
		turned("a tenth of the rate", rate/10),
		turned("ten times the rate", 10*rate),
		{"a way of 100 ms", way{rate, 100 * time.Millisecond}, 1, 10 * d, rate, func(r *road, flows []*flow, d time.Duration) {
			begin(flows)
			r.Run(d)
		}},
		{"64 that come together", ordinary, 64, d, rate, func(r *road, flows []*flow, d time.Duration) {
			for i, f := range flows {
				r.At(r.Now()+time.Duration(i)*100*time.Microsecond, func() { f.begin(roadUpload, 1) })
			}
			r.Run(d)
		}},
	}
}

func (c change) run(conditions conditions) (*ChangeRun, error) {
	r := newRoad(conditions, c.way)
	flows, err := r.connected(c.flows)
	if err != nil {
		return nil, err
	}
	var queued series
	r.neck.Observe(func(wait time.Duration, _ int) { queued.add(r.Now(), wait) })
	c.do(r, flows, c.d)
	from, dropped := r.Now(), r.neck.Stats().Overflows
	r.Run(c.d)
	goodput := total(rates(flows, from, r.Now()))
	queue := queued.during(from, r.Now()).quantiles(0.5, 0.99)
	return &ChangeRun{
		Controller: conditions.controller, What: c.what, Rate: c.rate, Goodput: goodput, Used: goodput / float64(c.rate),
		QueueP50: micros(queue[0]), QueueP99: micros(queue[1]), Drops: r.neck.Stats().Overflows - dropped,
	}, r.failure()
}

func runChange(ctx context.Context, p Plan) (*Report, error) {
	report := &Report{Name: "change"}
	t := Table{Name: "change", Caption: "Uploads over a slow link, to which something happens"}
	t.Header = []string{"what", "rate then", "cc", "goodput Gbit/s", "of the rate", "queue p50", "queue p99", "drops"}
	var runs []*ChangeRun
	for _, c := range changes(cmp.Or(p.Rate, 1e9), cmp.Or(p.Duration, 500*time.Millisecond)) {
		err := p.each(ctx, func(controller string) error {
			run, err := c.run(conditions{ctx, controller, p.Seed, c.way.rate, 0})
			if err != nil {
				return err
			}
			runs = append(runs, run)
			t.Rows = append(t.Rows, []string{
				c.what, rateName(run.Rate), controller, fmt.Sprintf("%.2f", run.Goodput/1e9), fmt.Sprintf("%.2f", run.Used),
				measure.Micros(run.QueueP50), measure.Micros(run.QueueP99), fmt.Sprint(run.Drops),
			})
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.what, err)
		}
	}
	report.Runs, report.Tables = runs, []Table{t}
	return report, context.Cause(ctx)
}
