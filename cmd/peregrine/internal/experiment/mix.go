package experiment

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// MixRun is one run of small calls beside an incast. Times are in microseconds.
type MixRun struct {
	Controller string  `json:"cc"`
	Rate       uint64  `json:"rate_bps"`
	Credits    int     `json:"credits"` // 0: default
	Clients    int     `json:"clients"`
	Goodput    float64 `json:"goodput_bps"` // of the incast
	// Victim are calls of a station that is not otherwise busy to the incast's
	// server; Peers are calls between two of the incast's clients.
	Victim Latency `json:"victim"`
	Peers  Latency `json:"peers"`
	Drops  uint64  `json:"drops"`

	took series // to the victim
}

// Latency is a distribution in microseconds.
type Latency struct {
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p999_us"`
	Calls int     `json:"calls"`
}

// latency is that of the calls that were made in so much time. Where none was
// answered it is that time: at least as long was it for each.
func latency(s series, in time.Duration) Latency {
	q := s.quantiles(0.5, 0.99, 0.999)
	if len(s) == 0 {
		q = []time.Duration{in, in, in}
	}
	return Latency{micros(q[0]), micros(q[1]), micros(q[2]), len(s)}
}

const (
	smallCall  = 32
	smallEvery = 20 * time.Microsecond
)

func mix(c conditions, clients int, d time.Duration) (*MixRun, error) {
	r := newRack(c)
	server, flows, err := r.incast(clients)
	if err != nil {
		return nil, err
	}
	idle, err := r.join(c.controller)
	if err != nil {
		return nil, err
	}
	victim, err := r.probe(idle, server)
	if err != nil {
		return nil, err
	}
	peers, err := r.probe(flows[0].from, flows[1].from)
	if err != nil {
		return nil, err
	}
	if err := r.settle(); err != nil {
		return nil, err
	}
	end := r.Now() + d
	for _, f := range flows {
		f.begin(requestSize, 1)
	}
	victim.run(smallCall, smallEvery, end)
	peers.run(smallCall, smallEvery, end)
	settle, measured := phases(d)
	r.Run(settle)
	early, from := server.in.Stats(), r.Now()
	r.Run(measured)
	run := &MixRun{
		Controller: c.controller, Rate: c.rate, Credits: c.credits, Clients: clients,
		Goodput: total(rates(flows, from, r.Now())),
		Victim:  latency(victim.took.during(from, r.Now()), measured),
		Peers:   latency(peers.took.during(from, r.Now()), measured),
		Drops:   server.in.Stats().Overflows - early.Overflows,
		took:    victim.took.during(from, r.Now()),
	}
	return run, r.failure()
}

func runMix(ctx context.Context, p Plan) (*Report, error) {
	report := &Report{Name: "mix"}
	rate, clients := cmp.Or(p.Rate, usualRate), cmp.Or(p.Clients, 50)
	var runs []*MixRun
	t := Table{Name: "mix", Caption: "Calls of 32 bytes beside an incast"}
	t.Header = []string{
		"clients", "rate", "credits", "cc", "incast Gbit/s",
		"to the victim: p50", "p99", "p99.9", "between clients: p50", "p99", "p99.9", "drops",
	}
	chart := Chart{
		Name:  "mix",
		Title: fmt.Sprintf("Calls of 32 bytes to the victim of a %d-way incast at %s", clients, rateName(rate)),
		X:     Axis{Label: "µs", Log: true},
		Y:     Axis{Label: "part of calls that took longer", Log: true},
	}
	for _, allowed := range []int{erpcCredits, 0} {
		var none *MixRun
		panel := Panel{Title: credits(allowed) + " credits"}
		claim := fmt.Sprintf("small calls beside %d-way incast, %s credits: p99 / none's", clients, credits(allowed))
		err := p.each(ctx, func(controller string) error {
			c := conditions{ctx, controller, p.Seed, rate, allowed}
			run, err := mix(c, clients, cmp.Or(p.Duration, 2*usualDuration))
			if err != nil {
				return err
			}
			runs = append(runs, run)
			t.Rows = append(t.Rows, run.row())
			panel.Lines = append(panel.Lines, run.line())
			if none == nil {
				none = run
				return nil
			}
			report.Targets = append(report.Targets, atMost(claim, controller, 0.3, run.Victim.P99/none.Victim.P99))
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("small calls beside %d uploads: %w", clients, err)
		}
		chart.Panels = append(chart.Panels, panel)
	}
	report.Runs, report.Tables, report.Charts = runs, []Table{t}, []Chart{chart}
	return report, context.Cause(ctx)
}

func (m *MixRun) row() []string {
	cells := []string{fmt.Sprint(m.Clients), rateName(m.Rate), credits(m.Credits), m.Controller, gigabits(m.Goodput)}
	for _, l := range []Latency{m.Victim, m.Peers} {
		cells = append(cells, measure.Micros(l.P50), measure.Micros(l.P99), measure.Micros(l.P999))
	}
	return append(cells, fmt.Sprint(m.Drops))
}

// line is the distribution's complement, in steps that look even on a log axis.
func (m *MixRun) line() Line {
	line := Line{Name: m.Controller}
	for slower := 1.0; slower >= 0.001; slower /= 1.1 {
		line.X = append(line.X, micros(m.took.quantiles(1 - slower)[0]))
		line.Y = append(line.Y, slower)
	}
	return line
}
