package cc

import (
	"errors"
	"math"
	"time"
)

// Flow scaling covers windows from flowMin to flowMax datagrams: fs_min_cwnd and
// fs_max_cwnd of Swift's paper as csg-htsim's model has them (sim/swift.cpp).
const flowMin, flowMax = 0.1, 100

// Windows below a datagram act on news that is old, one packet in several round
// trips. So they grow by no more than this fraction of a datagram or of
// themselves, and shrink by no more than that, or a thousand flows swing together.
// The figures are ours. Over 30 ms an incast of 1,000 does as well if windows are
// halved; that it does over longer times was not tried.
const (
	fractionStep   = 1. / 64
	fractionGrowth = 1. / 16
	fractionKeep   = 0.97
	// From a delay of four limits on, they shrink by more.
	fractionKeepFar = 0.9
)

// Below fewSamples datagrams a round trip has too few samples to leave out
// spikes, and the increase is less than the full one, which it reaches there.
const fewSamples = 8

// Acknowledgements that waited on the way back come in bursts, and what they let out
// would be a burst that fills a queue on the way there. So a full window is paced
// where both ways take paceTrips times as long as the one.
const paceTrips = 4

// SwiftConfig holds the parameters of "swift".
type SwiftConfig struct {
	DelayConfig `yaml:",inline"`
	// FlowScaling is by how many target delays more a flow with a tenth of a
	// datagram in flight tolerates; 0 to 100. It is what makes shares equal, and
	// what a thousand flows need, whose windows cannot even out their bursts.
	FlowScaling float64 `yaml:"flow_scaling"`
	// AdditiveIncrease is the window's growth in datagrams per round trip.
	AdditiveIncrease float64 `yaml:"additive_increase"`
	// Beta scales the decrease with the excess of delay; above 0, at most 1.
	Beta float64 `yaml:"beta"`
	// MaxDecrease is the largest decrease in one round trip, as a fraction.
	MaxDecrease  float64 `yaml:"max_decrease"`
	WindowConfig `yaml:",inline"`
	// MinWindow is in datagrams, and may be a fraction of one.
	MinWindow float64 `yaml:"min_window"`
}

// defaultSwift: the paper's values are not known to us. AdditiveIncrease, Beta
// and MaxDecrease are those of csg-htsim's model, which calls them guesses. It has
// 5 for FlowScaling: with 4 a hundred flows queue for 92 µs in place of 103
// (peregrine sim, 25 Gbit/s), and without any, 50 share unevenly (share_test.go). The paper's least window is 0.001 (as quoted by
// others); from 1/64 on, 1,000 senders of 25 Gbit/s did not need a smaller one.
func defaultSwift() SwiftConfig {
	return SwiftConfig{
		DelayConfig:      defaultDelays(),
		FlowScaling:      4,
		AdditiveIncrease: 1,
		Beta:             0.8,
		MaxDecrease:      0.5,
		WindowConfig:     defaultWindows(),
		MinWindow:        1. / 64,
	}
}

// Validate reports the key that is out of range.
func (c *SwiftConfig) Validate() error {
	return errors.Join(
		c.DelayConfig.validate(),
		checkRange("flow_scaling", c.FlowScaling, 0, 100),
		checkRange("additive_increase", c.AdditiveIncrease, 0.001, 100),
		checkRange("beta", c.Beta, 0.01, 1),
		checkRange("max_decrease", c.MaxDecrease, 0.01, 0.9),
		c.WindowConfig.validate(),
		checkRange("min_window", c.MinWindow, 0.001, 1),
	)
}

func init() {
	Register(Algorithm{
		Name:   "swift",
		Config: func() any { c := defaultSwift(); return &c },
		New:    configured(newSwift),
	})
}

// swift is Swift (Kumar et al., SIGCOMM 2020): additive increase below a target
// delay, multiplicative decrease above it, in proportion to the excess and once
// per round trip; windows below one datagram, which are paced.
//
// Where it differs: the target is relative to the path's own base RTT, which
// stands in for the paper's scaling by hops. A delay counts when it lasts (see
// delay). Slow start and, after quiet round trips, faster growth use an idle
// network at once. The RTT excludes what the endpoints are known to add, in
// place of the paper's separate window for them.
type swift struct {
	flow
	delay
	cfg *SwiftConfig
	// A decrease is relative to the window before, for as long as news of packets
	// sent before it comes in: their delays may size it better.
	before  float64
	cutAt   time.Duration
	leaving bool    // slow start
	rate    float64 // at which bytes arrived in the last round trip, a second
}

var _ Controller = (*swift)(nil)

func newSwift(c SwiftConfig) Factory {
	return func(p Path) Controller {
		s := &swift{
			cfg:   &c,
			flow:  newFlow(p, c.WindowConfig),
			delay: delay{baseRTT: newBaseRTT(c.DelayConfig, true)},
		}
		s.least = c.MinWindow
		s.scaleFlow()
		return s
	}
}

// Window implements Controller.
func (s *swift) Window() int { return max(s.drained(int(s.window)), s.datagram) }

// Rate implements Controller.
func (s *swift) Rate() uint64 {
	if s.mean == 0 {
		return 0
	}
	if part := s.window / drainBy; s.drainSince != 0 && part < float64(s.datagram) {
		return max(1, uint64(part/s.mean.Seconds())) // many that keep a datagram each see their own queue
	}
	if s.window >= float64(s.datagram) {
		if s.back > paceTrips*s.base && s.limited() {
			return max(1, uint64(paceAvoid*s.window/(s.smoothed+s.back).Seconds()))
		}
		return 0
	}
	// Flows that started together would send together for ever: the last digits
	// of an RTT are chance enough to part them.
	dither := 0.25 + 1.5*float64(uint32(s.recent[0])*2654435769>>24)/256
	return max(1, uint64(dither*s.window/s.mean.Seconds()))
}

// Acked implements Controller.
func (s *swift) Acked(a Ack) {
	ended := s.acked(&a)
	if a.RTT <= 0 {
		return
	}
	was := s.window
	switch {
	case s.sample(&a) && s.exceeds(a.RTT, s.tolerance()):
		s.decrease(&a)
	case s.run == 0:
		s.start(a.Bytes)
	}
	if ended {
		s.round(&a)
	}
	if s.window != was {
		s.scaleFlow()
	}
}

// TimedOut implements Controller.
func (s *swift) TimedOut(now time.Duration) {
	s.flow.TimedOut(now)
	s.silent(now)
	s.scaleFlow()
}

func (s *swift) round(a *Ack) {
	grow := s.run == 0 && s.limited() && !s.starting
	s.rate = float64(s.delivered) / max(a.Now-s.roundStart, 1).Seconds()
	if s.endRound(a.Now, a.InFlight) {
		s.recede()
		return
	}
	if !s.far() && s.quiet(a.Now, quietLong) {
		// Nobody queues: a window below a datagram would only pace an idle path.
		s.resize(max(s.window, float64(s.datagram)))
		s.starting = true
	}
	if !grow {
		return
	}
	if s.quiet(a.Now-quietSome*s.back, quietSome) {
		s.resize(s.window * s.gain())
		return
	}
	datagram := float64(s.datagram)
	if s.window < datagram {
		s.resize(s.window + min(datagram*fractionStep, s.window*fractionGrowth))
		return
	}
	// Between, it rises to the full increase at fewSamples datagrams.
	s.resize(s.window + min(s.cfg.AdditiveIncrease*datagram, s.window*s.window/datagram*fractionStep))
}

// tolerance is how noisy a path may be.
func (s *swift) tolerance() time.Duration {
	if s.window < float64(s.datagram) {
		return deafNoise
	}
	return noise
}

// decrease answers to a delay above the limit.
func (s *swift) decrease(a *Ack) {
	rtt := a.RTT
	if a.Sent >= s.cutAt {
		s.before, s.cutAt = s.reach(), a.Now
		s.leaving, s.starting = s.starting, false
	}
	datagram := float64(s.datagram)
	if s.window <= datagram {
		keep := fractionKeep
		if rtt > 4*s.limit {
			keep = fractionKeepFar
		}
		s.resize(min(s.window, s.before*keep))
		return
	}
	level := s.level()
	if s.window < fewSamples*datagram {
		level = rtt
	}
	// What is in flight is also what acknowledgements on their way back have yet to tell of.
	excess := float64(level-s.limit) / float64(level+a.Trip-rtt)
	keep := max(1-s.cfg.Beta*excess, 1-s.cfg.MaxDecrease)
	if s.leaving {
		keep = 1 - excess // the queue is of slow start's own making
	}
	least := datagram
	if s.far() {
		least = max(least, keepDelivered*s.rate*(s.limit+s.back).Seconds())
	}
	s.resize(min(s.window, max(s.before*keep, least)))
}

// gain is by how much it grows in a quiet round trip: news of a queue that is too long
// arrives when it has grown for a round trip.
func (s *swift) gain() float64 {
	if s.far() {
		return 1 + min(quietGain-1, float64(s.slack)/float64(s.back))
	}
	return quietGain
}

// scaleFlow sets the limit by the window: the paper's section 3.5.
func (s *swift) scaleFlow() {
	if s.cfg.FlowScaling == 0 || s.window >= flowMax*float64(s.datagram) {
		if s.scale != 1 {
			s.setScale(1)
		}
		return
	}
	datagrams := max(s.window/float64(s.datagram), flowMin)
	s.setScale(1 + s.cfg.FlowScaling*(1/math.Sqrt(datagrams)-flowAtMax)/(flowAtMin-flowAtMax))
}

var flowAtMin, flowAtMax = 1 / math.Sqrt(flowMin), 1 / math.Sqrt(flowMax)
