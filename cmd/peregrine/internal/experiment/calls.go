package experiment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// CallsRun is one run of small calls over a road beside an upload. Times are in
// microseconds.
type CallsRun struct {
	Controller string  `json:"cc"`
	Rate       uint64  `json:"rate_bps"`
	Trip       float64 `json:"trip_us"`
	Goodput    float64 `json:"goodput_bps"` // of the upload
	// Idle are calls without the upload, Same are calls of its connection, and Other
	// those of another host.
	Idle  Latency `json:"idle"`
	Same  Latency `json:"same_connection"`
	Other Latency `json:"another_host"`
}

// callsEvery is the mean time between two calls, which are so few that they are no load.
const callsEvery = time.Millisecond

// calls makes small calls for d over a road without any load, and for d beside an
// upload, from its connection and from another host.
func calls(c conditions, w way, d time.Duration) (*CallsRun, error) {
	r := newRoad(c, w)
	server, err := r.server()
	if err != nil {
		return nil, err
	}
	var probes []*probe
	for range 2 {
		client, err := r.join(c.controller)
		if err != nil {
			return nil, err
		}
		p, err := r.probe(client, server)
		if err != nil {
			return nil, err
		}
		probes = append(probes, p)
	}
	main, err := r.connect(probes[0].from, server)
	if err != nil {
		return nil, err
	}
	if err := r.settle(); err != nil {
		return nil, err
	}
	run := func(d time.Duration) (settled time.Duration) {
		for _, p := range probes {
			p.run(smallCall, callsEvery, r.Now()+d)
		}
		return r.measure(d)
	}
	run(d)
	idle := probes[0].took
	main.begin(requestSize, 1)
	from := run(d)
	return &CallsRun{
		Controller: c.controller, Rate: w.rate, Trip: micros(w.trip), Goodput: main.arrived.rate(from, r.Now()),
		Idle:  latency(idle, d),
		Same:  latency(probes[0].took.during(from, r.Now()), d),
		Other: latency(probes[1].took.during(from, r.Now()), d),
	}, errors.Join(probes[0].failed, probes[1].failed, r.failure())
}

func runCalls(ctx context.Context, p Plan) (*Report, error) {
	report := &Report{Name: "calls"}
	t := Table{Name: "calls", Caption: "Calls of 32 bytes beside an upload over a slow link"}
	t.Header = []string{"way", "cc", "upload Mbit/s", "idle: p50", "p99", "same connection: p50", "p99", "another host: p50", "p99"}
	var runs []*CallsRun
	for _, rate := range either(p.Rate, 200e6, 1e9) {
		for _, trip := range []time.Duration{100 * time.Microsecond, time.Millisecond} {
			w := way{rate, trip}
			err := p.each(ctx, func(controller string) error {
				run, err := calls(conditions{ctx, controller, p.Seed, rate, 0}, w, cmp.Or(p.Duration, 2*time.Second))
				if err != nil {
					return err
				}
				runs = append(runs, run)
				cells := []string{w.String(), controller, fmt.Sprintf("%.1f", run.Goodput/1e6)}
				for _, l := range []Latency{run.Idle, run.Same, run.Other} {
					cells = append(cells, measure.Micros(l.P50), measure.Micros(l.P99))
				}
				t.Rows = append(t.Rows, cells)
				if controller == baseline {
					return nil
				}
				// Three times what an idle way takes, and what it takes to send a datagram.
				most := 3*run.Idle.P99 + micros(time.Duration(1500*8/float64(rate)*1e9))
				name := fmt.Sprintf("small calls beside an upload, %v, ", w)
				report.Targets = append(report.Targets,
					atMost(name+"same connection: p99 / (3 × idle + a datagram)", controller, 1, run.Same.P99/most),
					atMost(name+"another host: p99 / (3 × idle + a datagram)", controller, 1, run.Other.P99/most))
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("small calls beside an upload: %w", err)
			}
		}
	}
	report.Runs, report.Tables = runs, []Table{t}
	return report, context.Cause(ctx)
}
