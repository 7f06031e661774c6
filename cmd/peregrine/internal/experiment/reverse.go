package experiment

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// ReverseRun is one run of an upload whose sender is itself the victim of an
// incast, so that its acknowledgements wait. Times are in microseconds.
type ReverseRun struct {
	Controller string `json:"cc"`
	Rate       uint64 `json:"rate_bps"`
	// Crowd is the controller of the incast; empty if there is none.
	Crowd    string  `json:"crowd"`
	Clients  int     `json:"clients"`
	Goodput  float64 `json:"goodput_bps"`
	RTTP50   float64 `json:"rtt_p50_us"`
	QueueP50 float64 `json:"queue_p50_us"` // of acknowledgements
	Incast   float64 `json:"incast_bps"`
}

func reverse(c conditions, opposing string, clients int, d time.Duration) (*ReverseRun, error) {
	r := newRack(c)
	r.credits = cmp.Or(c.credits, roadCredits) // for what goes to it: credits are not the question
	sink, err := r.join(c.controller)
	r.credits = c.credits
	if err != nil {
		return nil, err
	}
	source, err := r.join(c.controller)
	if err != nil {
		return nil, err
	}
	main, err := r.connect(source, sink)
	if err != nil {
		return nil, err
	}
	var against []*flow
	for range clients {
		client, err := r.join(opposing)
		if err != nil {
			return nil, err
		}
		f, err := r.connect(client, source)
		if err != nil {
			return nil, err
		}
		against = append(against, f)
	}
	if err := r.settle(); err != nil {
		return nil, err
	}
	source.watch()
	main.begin(requestSize, 2) // the answer to one waits as acknowledgements do
	for _, f := range against {
		f.begin(requestSize, 1)
	}
	from := r.measure(d)
	run := &ReverseRun{
		Controller: c.controller, Rate: c.rate, Clients: clients, Goodput: main.arrived.rate(from, r.Now()),
		RTTP50:   micros(source.trips.during(from, r.Now()).median()),
		QueueP50: micros(source.queued.during(from, r.Now()).median()),
		Incast:   total(rates(against, from, r.Now())),
	}
	if clients > 0 {
		run.Crowd = opposing
	}
	return run, r.failure()
}

func runReverse(ctx context.Context, p Plan) (*Report, error) {
	report := &Report{Name: "reverse"}
	rate, clients, d := cmp.Or(p.Rate, usualRate), cmp.Or(p.Clients, 5), cmp.Or(p.Duration, usualDuration)
	var runs []*ReverseRun
	t := Table{Name: "reverse", Caption: "An upload whose acknowledgements meet an incast"}
	t.Header = []string{
		"rate", "cc", "against it", "goodput Gbit/s", "kept", "RTT p50", "acknowledgements wait", "incast Gbit/s",
	}
	err := p.each(ctx, func(controller string) error {
		c := conditions{ctx, controller, p.Seed, rate, 0}
		alone, err := reverse(c, controller, 0, d)
		if err != nil {
			return err
		}
		runs = append(runs, alone)
		t.Rows = append(t.Rows, alone.row(alone))
		for _, opposing := range slices.Compact([]string{controller, baseline}) {
			run, err := reverse(c, opposing, clients, d)
			if err != nil {
				return err
			}
			runs = append(runs, run)
			t.Rows = append(t.Rows, run.row(alone))
			if opposing == baseline {
				report.Targets = append(report.Targets, atLeast(
					fmt.Sprintf("acknowledgements that wait behind %d × %s: goodput / alone", clients, opposing), controller, 0.9, run.Goodput/alone.Goodput))
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("upload against %d others: %w", clients, err)
	}
	report.Runs, report.Tables = runs, []Table{t}
	return report, context.Cause(ctx)
}

func (r *ReverseRun) row(alone *ReverseRun) []string {
	against := "nothing"
	if r.Clients > 0 {
		against = fmt.Sprintf("%d × %s", r.Clients, r.Crowd)
	}
	return []string{
		rateName(r.Rate), r.Controller, against, gigabits(r.Goodput), fmt.Sprintf("%.2f", r.Goodput/alone.Goodput),
		measure.Micros(r.RTTP50), measure.Micros(r.QueueP50), gigabits(r.Incast),
	}
}
