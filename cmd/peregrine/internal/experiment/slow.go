package experiment

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// SlowRun is one run of equal flows that meet at a slow link, which drops and does
// not mark. Times are in microseconds.
type SlowRun struct {
	Controller string  `json:"cc"`
	Rate       uint64  `json:"rate_bps"`
	Trip       float64 `json:"trip_us"`
	Flows      int     `json:"flows"`
	Goodput    float64 `json:"goodput_bps"`
	// Used is the goodput as a part of the rate, headers included.
	Used     float64 `json:"used"`
	Jain     float64 `json:"jain"`
	QueueP50 float64 `json:"queue_p50_us"`
	QueueP99 float64 `json:"queue_p99_us"`
	Drops    uint64  `json:"drops"`
}

// slow measures n flows that begin within a fiftieth of d, from the middle of d on.
func slow(c conditions, w way, n int, d time.Duration) (*SlowRun, error) {
	r := newRoad(c, w)
	flows, err := r.connected(n)
	if err != nil {
		return nil, err
	}
	for _, f := range flows {
		r.At(r.Now()+time.Duration(r.Rand().Int64N(int64(d/50))), func() { f.begin(roadUpload, roadUploads) })
	}
	var queued series
	r.neck.Observe(func(wait time.Duration, _ int) { queued.add(r.Now(), wait) })
	r.Run(d / 2)
	from, dropped := r.Now(), r.neck.Stats().Overflows
	r.Run(d / 2)
	goodput := rates(flows, from, r.Now())
	queue := queued.during(from, r.Now()).quantiles(0.5, 0.99)
	return &SlowRun{
		Controller: c.controller, Rate: w.rate, Trip: micros(w.trip), Flows: n,
		Goodput: total(goodput), Used: total(goodput) / float64(w.rate), Jain: jain(goodput),
		QueueP50: micros(queue[0]), QueueP99: micros(queue[1]), Drops: r.neck.Stats().Overflows - dropped,
	}, r.failure()
}

func runSlow(ctx context.Context, p Plan) (*Report, error) {
	report := &Report{Name: "slow"}
	rates, d := either(p.Rate, 200e6, 1e9), cmp.Or(p.Duration, 2*time.Second)
	t := Table{Name: "slow", Caption: "Equal flows that meet at a slow link"}
	t.Header = []string{"flows", "way", "cc", "goodput Mbit/s", "of the rate", "Jain", "queue p50", "queue p99", "drops"}
	var runs []*SlowRun
	for _, rate := range rates {
		for _, trip := range []time.Duration{100 * time.Microsecond, time.Millisecond} {
			for _, n := range either(p.Clients, 8, 20) {
				w := way{rate, trip}
				var none *SlowRun
				err := p.each(ctx, func(controller string) error {
					run, err := slow(conditions{ctx, controller, p.Seed, rate, 0}, w, n, d)
					if err != nil {
						return err
					}
					if none == nil {
						none = run
					}
					runs = append(runs, run)
					t.Rows = append(t.Rows, []string{
						fmt.Sprint(n), w.String(), controller, fmt.Sprintf("%.1f", run.Goodput/1e6), fmt.Sprintf("%.2f", run.Used),
						fmt.Sprintf("%.3f", run.Jain), measure.Micros(run.QueueP50), measure.Micros(run.QueueP99), fmt.Sprint(run.Drops),
					})
					if controller == "auto" {
						name := fmt.Sprintf("%d flows, %v: ", n, w)
						report.Targets = append(report.Targets,
							atMost(name+"p50 queueing delay / none's", controller, 0.3, run.QueueP50/none.QueueP50),
							atLeast(name+"goodput / none's", controller, 0.95, run.Goodput/none.Goodput),
							atLeast(name+"Jain's index", controller, 0.9, run.Jain))
					}
					return nil
				})
				if err != nil {
					return nil, fmt.Errorf("%d flows at a slow link: %w", n, err)
				}
			}
		}
	}
	report.Runs, report.Tables = runs, []Table{t}
	return report, context.Cause(ctx)
}
