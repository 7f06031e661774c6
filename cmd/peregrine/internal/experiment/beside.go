package experiment

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// BesideRun is one run of an upload that shares its way with others under no
// control. Times are in microseconds.
type BesideRun struct {
	Controller string  `json:"cc"` // or TCP's
	Switch     string  `json:"switch"`
	Rate       uint64  `json:"rate_bps"`
	Others     int     `json:"others"`
	Goodput    float64 `json:"goodput_bps"`
	OthersHave float64 `json:"others_goodput_bps"` // all together
	// Share is the goodput as a part of an equal share.
	Share    float64 `json:"share"`
	QueueP50 float64 `json:"queue_p50_us"`
}

// queueing is what a switch does with what waits.
type queueing struct {
	name  string
	apply func(*sim.LinkConfig)
}

// queueings are those of experiment beside. In the third even one sender without
// control has more in flight than fits.
var queueings = []queueing{
	{"marks", func(*sim.LinkConfig) {}},
	{"drops from 12 MiB on", func(l *sim.LinkConfig) { l.MarkBytes = 0 }},
	{"drops from 256 KiB on", func(l *sim.LinkConfig) { l.MarkBytes, l.QueueBytes = 0, 256<<10 }},
}

// beside runs an upload, or a TCP connection if the controller is called so, beside
// others.
func beside(c conditions, q queueing, others int, d time.Duration) (*BesideRun, error) {
	algorithm, foreign := strings.CutPrefix(c.controller, "TCP ")
	if foreign {
		c.controller = baseline
	}
	r := newRack(c)
	q.apply(&r.cable)
	server, err := r.join(c.controller)
	if err != nil {
		return nil, err
	}
	clients := others
	if !foreign {
		clients++
	}
	for i := range clients {
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
	var connection *tcp
	if foreign {
		connection = r.tcpTo(r.tor, server.host, algorithm)
	}
	from := r.measure(d)
	have := rates(r.flows, from, r.Now())
	if foreign {
		have = append([]float64{connection.rate(from, r.Now())}, have...)
	}
	return &BesideRun{
		Switch: q.name, Rate: c.rate, Others: others,
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
	t.Header = []string{"rate", "the switch", "cc", "beside it", "goodput Gbit/s", "of an equal share", "others Gbit/s", "queue p50"}
	p.Controllers = append([]string{"TCP cubic", "TCP reno"}, p.Controllers...)
	for _, q := range queueings {
		err := p.each(ctx, func(controller string) error {
			run, err := beside(conditions{ctx, controller, p.Seed, rate, 0}, q, others, d)
			if err != nil {
				return err
			}
			run.Controller = controller
			runs = append(runs, run)
			t.Rows = append(t.Rows, []string{
				rateName(rate), q.name, controller, fmt.Sprintf("%d × %s", others, baseline), gigabits(run.Goodput),
				fmt.Sprintf("%.2f", run.Share), gigabits(run.OthersHave), measure.Micros(run.QueueP50),
			})
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("upload beside %d others: %w", others, err)
		}
	}
	report.Runs, report.Tables = runs, []Table{t}
	return report, context.Cause(ctx)
}
