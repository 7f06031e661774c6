package experiment

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// BesideRun is one run of an upload that shares its way with others under no
// control. Times are in microseconds.
type BesideRun struct {
	Controller string  `json:"cc"`
	Rate       uint64  `json:"rate_bps"`
	Others     int     `json:"others"`
	Goodput    float64 `json:"goodput_bps"`
	OthersHave float64 `json:"others_goodput_bps"` // all together
	// Share is the goodput as a part of an equal share.
	Share    float64 `json:"share"`
	QueueP50 float64 `json:"queue_p50_us"`
}

func beside(c conditions, others int, d time.Duration) (*BesideRun, error) {
	r := newRack(c)
	server, err := r.join(c.controller)
	if err != nil {
		return nil, err
	}
	for i := range 1 + others {
		controller := baseline
		if i == 0 {
			controller = c.controller
		}
		client, err := r.join(controller)
		if err != nil {
			return nil, err
		}
		if _, err := r.connect(client, server); err != nil {
			return nil, err
		}
	}
	if err := r.settle(); err != nil {
		return nil, err
	}
	server.watch()
	for _, f := range r.flows {
		f.begin(requestSize, 1)
	}
	from := r.measure(d)
	have := rates(r.flows, from, r.Now())
	return &BesideRun{
		Controller: c.controller, Rate: c.rate, Others: others,
		Goodput: have[0], OthersHave: total(have[1:]),
		Share:    have[0] / (total(have) / float64(len(have))),
		QueueP50: micros(server.queued.during(from, r.Now()).median()),
	}, r.failure()
}

func runBeside(ctx context.Context, p Plan) (*Report, error) {
	report := &Report{Name: "beside"}
	rate, others, d := cmp.Or(p.Rate, usualRate), cmp.Or(p.Clients, 1), cmp.Or(p.Duration, usualDuration)
	var runs []*BesideRun
	t := Table{Name: "beside", Caption: "An upload beside others without control"}
	t.Header = []string{"rate", "cc", "beside it", "goodput Gbit/s", "of an equal share", "others Gbit/s", "queue p50"}
	err := p.each(ctx, func(controller string) error {
		run, err := beside(conditions{ctx, controller, p.Seed, rate, 0}, others, d)
		if err != nil {
			return err
		}
		runs = append(runs, run)
		t.Rows = append(t.Rows, []string{
			rateName(rate), controller, fmt.Sprintf("%d × %s", others, baseline), gigabits(run.Goodput),
			fmt.Sprintf("%.2f", run.Share), gigabits(run.OthersHave), measure.Micros(run.QueueP50),
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("upload beside %d others: %w", others, err)
	}
	report.Runs, report.Tables = runs, []Table{t}
	return report, context.Cause(ctx)
}
