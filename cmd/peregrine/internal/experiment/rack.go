package experiment

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

const (
	// linkDelay is a cable's and half of what a switch takes. With four of them
	// and two store-and-forward hops, an idle network's round trip is about 7 µs.
	linkDelay = 1500 * time.Nanosecond
	// jitter is by how much a host is at most late to send, so that flows do not
	// stay in step as only simulated ones can; less where links are so fast that
	// datagrams would overtake each other.
	jitter = 100 * time.Nanosecond
	// switchBuffer is the longest queue of each of the switch's outputs.
	switchBuffer = 12 << 20
	// markDelay is the queueing delay from which the switch marks: what 65
	// datagrams of 1500 bytes take at 25 Gbit/s. DCTCP's paper has 65 at 10 Gbit/s.
	markDelay = 31 * time.Microsecond
	// ping and upload are the methods that stations serve.
	ping, upload = 0, 1
	number       = 31850
)

// conditions are those of one run.
type conditions struct {
	ctx        context.Context // ends the run early
	controller string
	seed       uint64
	rate       uint64 // of every link, in bits per second
	credits    int    // 0: the engine's default
}

// rack is stations at one switch, all links of one rate.
type rack struct {
	*sim.Network
	conditions
	tor      *sim.Switch
	cable    sim.LinkConfig
	start    time.Duration // when the network began
	stations []*station
	flows    []*flow
}

func newRack(c conditions) *rack {
	n := sim.New(c.seed)
	return &rack{
		Network: n, conditions: c, tor: n.Switch("tor"), start: n.Now(),
		cable: sim.LinkConfig{
			Rate: c.rate, Delay: linkDelay, QueueBytes: switchBuffer,
			MarkBytes: int(float64(c.rate) / 8 * markDelay.Seconds()),
		},
	}
}

// Run lets an amount of time pass, unless the run is to end early: failure says so.
func (r *rack) Run(amount time.Duration) {
	for ; amount > 0 && r.ctx.Err() == nil; amount -= tick {
		r.Network.Run(min(amount, tick))
	}
}

// takes is how long so many bytes take to send.
func (r *rack) takes(bytes int) time.Duration {
	return time.Duration(float64(bytes) * 8 / float64(r.rate) * float64(time.Second))
}

// station is a host with an engine.
type station struct {
	rack    *rack
	host    *sim.Host
	link    *sim.Link
	in      *sim.Pipe // the switch's output to it
	addr    netip.AddrPort
	engine  *core.Endpoint
	arrived *meter
	queued  series // delays in the queue of in, if watched
	trips   series // its engine's samples of the RTT
}

// join adds a station whose engine uses the controller.
func (r *rack) join(controller string) (*station, error) {
	algorithm, err := cc.Lookup(controller)
	if err != nil {
		return nil, err
	}
	factory, err := algorithm.New(algorithm.Config())
	if err != nil {
		return nil, err
	}
	s := &station{rack: r, host: r.Host(fmt.Sprintf("host%d", len(r.stations)), sim.HostConfig{})}
	s.link = r.Link(s.host, r.tor, r.cable)
	s.in = s.link.Toward(s.host)
	s.link.Toward(r.tor).SetFaults(sim.Faults{Jitter: min(jitter, r.takes(1500)/2)})
	port := s.host.Open(number)
	s.addr = port.LocalAddr()
	s.arrived = newMeter(port, r)
	cfg := core.Config{
		Credits:          r.credits,
		ReassemblyMemory: 1 << 40,
		Controller:       func(p cc.Path) cc.Controller { return observed{factory(p), s} },
	}
	for i := range cfg.Seed {
		cfg.Seed[i] = byte(r.Rand().Uint32())
	}
	if s.engine, err = core.New(cfg, s.arrived, r.Now()); err != nil {
		return nil, err
	}
	s.engine.Handle(ping, func(q *core.Request) { q.Reply(q.Data) })
	s.engine.Handle(upload, func(q *core.Request) { q.Reply(nil) })
	s.host.Run(s.engine, port)
	r.stations = append(r.stations, s)
	return s, nil
}

// observed is a controller whose RTT samples are noted.
type observed struct {
	cc.Controller
	of *station
}

func (o observed) Acked(a cc.Ack) {
	if a.RTT > 0 {
		o.of.trips.add(a.Now, a.RTT)
	}
	o.Controller.Acked(a)
}

// watch begins to note the delays in the queue toward the station.
func (s *station) watch() {
	s.in.Observe(func(wait time.Duration, _ int) { s.queued.add(s.rack.Now(), wait) })
}

// act does something to the engine, as its program would.
func (s *station) act(do func()) {
	s.engine.Advance(s.rack.Now())
	do()
	s.host.Kick()
}

// failure is what went wrong so far, which nothing should.
func (r *rack) failure() error {
	var errs []error
	for _, s := range r.stations {
		errs = append(errs, s.host.Err())
	}
	for _, f := range r.flows {
		errs = append(errs, f.failed)
	}
	errs = append(errs, r.ctx.Err())
	return errors.Join(errs...)
}

// measure runs for d, of which the beginning is for flows to settle, and returns
// when that was over.
func (r *rack) measure(d time.Duration) (from time.Duration) {
	settle, measured := phases(d)
	r.Run(settle)
	from = r.Now()
	r.Run(measured)
	return from
}
