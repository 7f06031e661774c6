package experiment

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// road is a rack whose servers are behind one slower link, as between machines of
// a cloud or beyond: its queue drops and does not mark.
type road struct {
	*rack
	left, right *sim.Switch
	neck        *sim.Pipe // toward the right
}

// way is what a road is like.
type way struct {
	rate uint64        // of the slow link, in bits per second
	trip time.Duration // without queues
}

func (w way) String() string { return fmt.Sprintf("%s, %v", rateName(w.rate), w.trip) }

const (
	// roadQueue is the longest queue, or a round trip if that is longer.
	roadQueue = 10 * time.Millisecond
	// roadCredits are more than a road's queue and round trip hold.
	roadCredits = 1 << 13
	// An upload over a road is long enough for its window, and its end soon comes.
	roadUpload, roadUploads = 64 << 10, 256
)

func newRoad(c conditions, w way) *road {
	c.rate, c.credits = w.rate, cmp.Or(c.credits, roadCredits)
	r := newRack(c)
	road := &road{rack: r, left: r.tor, right: r.Switch("right")}
	slow := r.cable
	slow.Delay, slow.MarkBytes = w.trip/2, 0
	slow.QueueBytes = int(float64(w.rate) / 8 * max(roadQueue, w.trip).Seconds())
	road.neck = r.Link(r.tor, road.right, slow).Toward(road.right)
	// Other links are faster, so that the queue is there.
	r.cable = sim.LinkConfig{Rate: 10 * w.rate, Delay: time.Microsecond}
	return road
}

// server adds a station on the far side.
func (r *road) server() (*station, error) {
	r.tor = r.right
	defer func() { r.tor = r.left }()
	return r.join(r.controller)
}

// connected adds so many clients with a flow each to a server.
func (r *road) connected(n int) (flows []*flow, err error) {
	server, err := r.server()
	if err != nil {
		return nil, err
	}
	for range n {
		client, err := r.join(r.controller)
		if err != nil {
			return nil, err
		}
		f, err := r.connect(client, server)
		if err != nil {
			return nil, err
		}
		flows = append(flows, f)
	}
	return flows, r.settle()
}

// ShareRun is one run of our flows beside TCP's.
type ShareRun struct {
	Controller string    `json:"cc"`
	Rate       uint64    `json:"rate_bps"`
	Trip       float64   `json:"trip_us"`
	Loss       float64   `json:"loss"`
	TCP        string    `json:"tcp"`
	Ours       []float64 `json:"ours_bps"`
	Theirs     []float64 `json:"theirs_bps"`
	QueueP50   float64   `json:"queue_p50_us"`
}

// share lets so many of our flows and so many of TCP's, which begin within a tenth
// of a second, share a road.
func share(c conditions, w way, ours int, algorithm string, theirs int, loss float64, d time.Duration) (*ShareRun, error) {
	r := newRoad(c, w)
	flows, err := r.connected(ours)
	if err != nil {
		return nil, err
	}
	r.neck.SetFaults(sim.Faults{Loss: loss})
	soon := func() time.Duration { return r.Now() + time.Duration(r.Rand().Int64N(int64(d/50))) }
	for _, f := range flows {
		r.At(soon(), func() { f.begin(roadUpload, roadUploads) })
	}
	var others []*tcp
	for range theirs {
		r.At(soon(), func() { others = append(others, r.tcp(r.left, r.right, algorithm)) })
	}
	var queued series
	r.neck.Observe(func(wait time.Duration, _ int) { queued.add(r.Now(), wait) })
	from := r.measure(d)
	run := &ShareRun{
		Controller: c.controller, Rate: w.rate, Trip: micros(w.trip), Loss: loss, TCP: algorithm,
		Ours: rates(flows, from, r.Now()), QueueP50: micros(queued.during(from, r.Now()).median()),
	}
	for _, t := range others {
		run.Theirs = append(run.Theirs, t.rate(from, r.Now()))
	}
	return run, r.failure()
}

func (s *ShareRun) jain() float64 {
	return jain(append(append([]float64(nil), s.Ours...), s.Theirs...))
}

// part is what ours have of all.
func (s *ShareRun) part() float64 { return total(s.Ours) / (total(s.Ours) + total(s.Theirs)) }

func runShare(ctx context.Context, p Plan) (*Report, error) {
	report := &Report{Name: "share"}
	ways := []way{{50e6, 20 * time.Millisecond}, {200e6, 2 * time.Millisecond}, {200e6, 100 * time.Microsecond}}
	if p.Rate != 0 {
		ways = []way{{p.Rate, 200 * time.Microsecond}}
	}
	d := cmp.Or(p.Duration, 10*time.Second)
	t := Table{Name: "share", Caption: "Uploads beside TCP, by a model"}
	t.Header = []string{"way", "cc", "beside", "1 v 1", "of both", "queue p50", "1 v 4", "Jain", "4 v 1", "Jain", "alone", "TCP alone"}
	lossy := Table{Name: "share-loss", Caption: "Alone, at random loss: Mbit/s, and TCP's"}
	losses := []float64{0.001, 0.01}
	lossy.Header = []string{"way", "cc", percent(losses[0]), "TCP", percent(losses[1]), "TCP"}
	var runs []*ShareRun
	for _, w := range ways {
		for _, algorithm := range []string{"cubic", "reno"} {
			alone := map[float64]float64{}
			for _, l := range append([]float64{0}, losses...) {
				run, err := share(conditions{ctx, baseline, p.Seed, w.rate, 0}, w, 0, algorithm, 1, l, d)
				if ctx.Err() != nil {
					break
				}
				if err != nil {
					return nil, fmt.Errorf("TCP alone: %w", err)
				}
				runs, alone[l] = append(runs, run), total(run.Theirs)
			}
			err := p.each(ctx, func(controller string) error {
				do := func(ours, theirs int, l float64) (*ShareRun, error) {
					run, err := share(conditions{ctx, controller, p.Seed, w.rate, 0}, w, ours, algorithm, theirs, l, d)
					if err == nil {
						runs = append(runs, run)
					}
					return run, err
				}
				one, err := do(1, 1, 0)
				if err != nil {
					return err
				}
				few, err := do(1, 4, 0)
				if err != nil {
					return err
				}
				many, err := do(4, 1, 0)
				if err != nil {
					return err
				}
				single, err := do(1, 0, 0)
				if err != nil {
					return err
				}
				t.Rows = append(t.Rows, []string{
					w.String(), controller, algorithm, megabits(one.Ours) + " v " + megabits(one.Theirs), fmt.Sprintf("%.2f", one.part()), measure.Micros(one.QueueP50),
					megabits(few.Ours) + " v " + megabits(few.Theirs), fmt.Sprintf("%.3f", few.jain()),
					megabits(many.Ours) + " v " + megabits(many.Theirs), fmt.Sprintf("%.3f", many.jain()),
					megabits(single.Ours), megabits([]float64{alone[0]}),
				})
				shares := controller == "cubic" || controller == "auto"
				if shares {
					name := fmt.Sprintf(" TCP %s, %v", algorithm, w)
					report.Targets = append(report.Targets,
						atLeast("one beside one"+name+": of both", controller, 0.4, one.part()),
						atMost("one beside one"+name+": of both, at most", controller, 0.6, one.part()),
						atLeast("one beside four"+name+": Jain's index", controller, 0.9, few.jain()),
						atLeast("four beside one"+name+": Jain's index", controller, 0.9, many.jain()))
				}
				if algorithm != "cubic" {
					return nil
				}
				if shares {
					report.Targets = append(report.Targets, atLeast(fmt.Sprintf("alone, %v: goodput / TCP's", w), controller, 0.95, total(single.Ours)/alone[0]))
				}
				cells := []string{w.String(), controller}
				for _, l := range losses {
					run, err := do(1, 0, l)
					if err != nil {
						return err
					}
					cells = append(cells, megabits(run.Ours), megabits([]float64{alone[l]}))
					if shares {
						report.Targets = append(report.Targets, atLeast(fmt.Sprintf("%s loss, %v: goodput / TCP's", percent(l), w), controller, 1, total(run.Ours)/alone[l]))
					}
				}
				lossy.Rows = append(lossy.Rows, cells)
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("uploads beside TCP: %w", err)
			}
		}
	}
	report.Runs, report.Tables = runs, []Table{t, lossy}
	return report, context.Cause(ctx)
}

// megabits is what all have together.
func megabits(list []float64) string { return fmt.Sprintf("%.1f", total(list)/1e6) }
