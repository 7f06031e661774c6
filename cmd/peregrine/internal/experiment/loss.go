package experiment

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// LossRun is one run of an upload over a link that loses at random, both ways.
type LossRun struct {
	Controller  string  `json:"cc"`
	Rate        uint64  `json:"rate_bps"`
	Outstanding int     `json:"outstanding"`
	Loss        float64 `json:"loss"`
	Goodput     float64 `json:"goodput_bps"`
	Kept        float64 `json:"kept"` // of what there is without loss
	Resent      uint64  `json:"resent"`
	Timeouts    uint64  `json:"probe_timeouts"`
}

func loss(c conditions, outstanding int, probability float64, d time.Duration) (*LossRun, error) {
	r := newRack(c)
	server, flows, err := r.incast(1)
	if err != nil {
		return nil, err
	}
	server.in.SetFaults(sim.Faults{Loss: probability})
	server.link.Toward(r.tor).SetFaults(sim.Faults{Loss: probability})
	flows[0].begin(requestSize, outstanding)
	from := r.measure(d)
	stats := flows[0].from.engine.Stats()
	return &LossRun{
		Controller: c.controller, Rate: c.rate, Outstanding: outstanding, Loss: probability,
		Goodput: flows[0].arrived.rate(from, r.Now()), Resent: stats.Retransmits, Timeouts: stats.ProbeTimeouts,
	}, r.failure()
}

// keptAtLeast is the targets: the part of goodput to keep, by loss.
var keptAtLeast = map[float64]float64{0.001: 0.92, 0.01: 0.75}

func runLoss(ctx context.Context, p Plan) (*Report, error) {
	report := &Report{Name: "loss"}
	rate := cmp.Or(p.Rate, usualRate)
	var runs []*LossRun
	losses := []float64{0, 0.0001, 0.001, 0.01, 0.05}
	t := Table{Name: "loss", Caption: "Goodput of one upload at random loss, in Gbit/s, and the part of it kept"}
	t.Header = []string{"outstanding", "rate", "cc", "no loss"}
	for _, l := range losses[1:] {
		t.Header = append(t.Header, percent(l))
	}
	chart := Chart{
		Name: "loss", Title: "Goodput kept at random loss",
		X: Axis{Label: "loss, %", Log: true},
		Y: Axis{Label: "part of goodput without loss"},
	}
	for _, outstanding := range []int{1, 16} {
		panel := Panel{Title: fmt.Sprintf("%d × 8 MiB outstanding", outstanding)}
		err := p.each(ctx, func(controller string) error {
			cells := []string{fmt.Sprint(outstanding), rateName(rate), controller}
			line := Line{Name: controller}
			var lossless float64
			for _, l := range losses {
				c := conditions{ctx, controller, p.Seed, rate, 0}
				run, err := loss(c, outstanding, l, cmp.Or(p.Duration, usualDuration))
				if err != nil {
					return err
				}
				runs = append(runs, run)
				if l == 0 {
					lossless, run.Kept = run.Goodput, 1
					cells = append(cells, gigabits(run.Goodput))
					continue
				}
				run.Kept = run.Goodput / lossless
				cells = append(cells, fmt.Sprintf("%s (%.2f)", gigabits(run.Goodput), run.Kept))
				line.X, line.Y = append(line.X, 100*l), append(line.Y, run.Kept)
				if target := keptAtLeast[l]; target != 0 {
					claim := fmt.Sprintf("%s loss, %d × 8 MiB: goodput / lossless", percent(l), outstanding)
					report.Targets = append(report.Targets, atLeast(claim, controller, target, run.Kept))
				}
			}
			t.Rows = append(t.Rows, cells)
			panel.Lines = append(panel.Lines, line)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("upload at loss: %w", err)
		}
		chart.Panels = append(chart.Panels, panel)
	}
	report.Runs, report.Tables, report.Charts = runs, []Table{t}, []Chart{chart}
	return report, context.Cause(ctx)
}

func percent(fraction float64) string { return fmt.Sprintf("%g %%", 100*fraction) }
