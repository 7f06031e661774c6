package experiment

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// Requests are of requestSize bytes; of crowdSize where more than crowd clients
// send them, since the server holds them all.
const (
	requestSize = 8 << 20
	crowdSize   = 1 << 20
	crowd       = 100
)

// IncastRun is one run of many clients' uploads to one server. Times are in
// microseconds.
type IncastRun struct {
	Controller string  `json:"cc"`
	Rate       uint64  `json:"rate_bps"`
	Credits    int     `json:"credits"` // 0: default
	Clients    int     `json:"clients"`
	Goodput    float64 `json:"goodput_bps"`
	QueueP50   float64 `json:"queue_p50_us"`
	QueueP99   float64 `json:"queue_p99_us"`
	RTTP50     float64 `json:"rtt_p50_us"`
	RTTP99     float64 `json:"rtt_p99_us"`
	Jain       float64 `json:"jain"`
	// Settled is after what time the median queueing delay of each half
	// millisecond stayed below twice that of the measured time.
	Settled float64 `json:"settled_us"`
	// EarlyDrops are those at the switch before the measured time, Drops those
	// in it. Marked is the fraction of datagrams marked in it.
	EarlyDrops uint64  `json:"early_drops"`
	Drops      uint64  `json:"drops"`
	Marked     float64 `json:"marked"`
	// Resent counts fragments sent again, in the whole run.
	Resent uint64 `json:"resent"`

	queue series // since the start
}

const settledStep = 2 * tick

func incast(c conditions, clients int, d time.Duration) (*IncastRun, error) {
	r := newRack(c)
	server, flows, err := r.incast(clients)
	if err != nil {
		return nil, err
	}
	size := requestSize
	if clients > crowd {
		size = crowdSize
	}
	server.watch()
	start := r.Now()
	for _, f := range flows {
		f.begin(size, 1)
	}
	settle, measured := phases(d)
	r.Run(settle)
	early, from := server.in.Stats(), r.Now()
	r.Run(measured)
	late, to := server.in.Stats(), r.Now()

	goodput := rates(flows, from, to)
	queue := server.queued.during(from, to).quantiles(0.5, 0.99)
	var samples series
	var resent uint64
	for _, f := range flows {
		samples = append(samples, f.from.trips.during(from, to)...)
		resent += f.from.engine.Stats().Retransmits
	}
	trips := samples.quantiles(0.5, 0.99)
	run := &IncastRun{
		Controller: c.controller, Rate: c.rate, Credits: c.credits, Clients: clients,
		Goodput: total(goodput), Jain: jain(goodput),
		QueueP50: micros(queue[0]), QueueP99: micros(queue[1]),
		RTTP50: micros(trips[0]), RTTP99: micros(trips[1]),
		Settled:    micros(server.queued.settles(start, to, settledStep, 2*queue[0])),
		EarlyDrops: early.Overflows, Drops: late.Overflows - early.Overflows,
		Marked: float64(late.Marked-early.Marked) / float64(max(late.Packets-early.Packets, 1)),
		Resent: resent,
	}
	for _, q := range server.queued {
		run.queue.add(q.at-start, q.value)
	}
	return run, r.failure()
}

// incastGroup is runs that share a table.
type incastGroup struct {
	name, caption string
	credits       int
	rates         []uint64
	clients       []int
}

func runIncast(ctx context.Context, p Plan) (*Report, error) {
	report := &Report{Name: "incast"}
	var runs []*IncastRun
	for _, g := range []incastGroup{
		{
			"incast-erpc", "Incast with 32 credits a connection, as eRPC has",
			erpcCredits, either(p.Rate, 25e9), either(p.Clients, 20, 50, crowd),
		},
		{
			"incast", "Incast with the default 256 credits",
			0, either(p.Rate, 25e9, 100e9), either(p.Clients, 20, 50, crowd, 1000),
		},
	} {
		t := Table{Name: g.name, Caption: g.caption}
		t.Header = []string{
			"clients", "rate", "cc", "goodput Gbit/s", "queue p50", "queue p99", "RTT p50", "RTT p99", "Jain", "settled after",
			"drops before / then", "marked",
		}
		for _, rate := range g.rates {
			for _, clients := range g.clients {
				var same []*IncastRun
				err := p.each(ctx, func(controller string) error {
					c := conditions{ctx, controller, p.Seed, rate, g.credits}
					run, err := incast(c, clients, cmp.Or(p.Duration, usualDuration))
					if err == nil {
						same = append(same, run)
						t.Rows = append(t.Rows, run.row())
					}
					return err
				})
				if err != nil {
					return nil, fmt.Errorf("incast of %d at %s: %w", clients, rateName(rate), err)
				}
				if len(same) == 0 {
					continue // interrupted
				}
				if clients == crowd || p.Clients != 0 {
					report.Targets = append(report.Targets, incastTargets(same)...)
				}
				if clients == crowd && g.credits == erpcCredits {
					report.Charts = append(report.Charts, queueChart(same))
				}
				for _, run := range same {
					run.queue = nil // large
				}
				runs = append(runs, same...)
			}
		}
		report.Tables = append(report.Tables, t)
	}
	report.Runs = runs
	return report, context.Cause(ctx)
}

// incastTargets compares runs with the first, the baseline's.
func incastTargets(runs []*IncastRun) (list []Target) {
	none := runs[0]
	name := fmt.Sprintf("%d-way incast, %s, %s credits", none.Clients, rateName(none.Rate), credits(none.Credits))
	for _, run := range runs[1:] {
		list = append(list,
			atMost(name+": p50 queueing delay / none's", run.Controller, 0.2, run.QueueP50/none.QueueP50),
			atLeast(name+": goodput / none's", run.Controller, 0.95, run.Goodput/none.Goodput))
	}
	return list
}

func (i *IncastRun) row() []string {
	return []string{
		fmt.Sprint(i.Clients), rateName(i.Rate), i.Controller, gigabits(i.Goodput),
		measure.Micros(i.QueueP50), measure.Micros(i.QueueP99), measure.Micros(i.RTTP50), measure.Micros(i.RTTP99),
		fmt.Sprintf("%.3f", i.Jain), measure.Micros(i.Settled), fmt.Sprintf("%d / %d", i.EarlyDrops, i.Drops),
		fmt.Sprintf("%.0f %%", 100*i.Marked),
	}
}

// queueChart shows the bottleneck's queueing delay over time.
func queueChart(runs []*IncastRun) Chart {
	var panel Panel
	for _, run := range runs {
		line := Line{Name: run.Controller}
		for at := time.Duration(0); at+tick <= run.queue[len(run.queue)-1].at; at += tick {
			if q := run.queue.during(at, at+tick).median(); q > 0 {
				line.X = append(line.X, (at+tick/2).Seconds()*1e3)
				line.Y = append(line.Y, micros(q))
			}
		}
		panel.Lines = append(panel.Lines, line)
	}
	first := runs[0]
	return Chart{
		Name:   "incast-queue",
		Title:  fmt.Sprintf("Queueing delay, %d-way incast at %s, %d credits", first.Clients, rateName(first.Rate), first.Credits),
		X:      Axis{Label: "ms since all clients began"},
		Y:      Axis{Label: "µs, median of each 250 µs", Log: true},
		Panels: []Panel{panel},
	}
}
