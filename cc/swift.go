package cc

import (
	"errors"
	"math"
	"time"
)

// Flow scaling covers windows from flowMin to flowMax datagrams, as in Swift's
// paper.
const flowMin, flowMax = 0.1, 100

// Windows below a datagram act on news that is old, one packet in several round
// trips. So they grow by no more than this fraction of a datagram or of
// themselves, and shrink by no more than that, or a thousand flows swing together.
const (
	fractionStep   = 1. / 64
	fractionGrowth = 1. / 16
	fractionKeep   = 0.97
	// From a delay of four limits on, they shrink by more.
	fractionKeepFar = 0.9
)

// SwiftConfig holds the parameters of "swift".
type SwiftConfig struct {
	// TargetDelay is the queueing delay above the path's base RTT that is aimed
	// at with large windows; at least 1 µs. TargetRTTs raises it to so many base
	// RTTs (at most 4 target delays), since where a round trip takes long, as
	// through kernels, the ends are noisy.
	TargetDelay time.Duration `yaml:"target_delay"`
	TargetRTTs  float64       `yaml:"target_rtts"`
	// BaseRTT is the path's round trip without queues, where it is known, as it
	// is in one fabric. 0 means the least that was measured; then a flow that
	// comes to a standing queue takes more than its share until it has seen less.
	BaseRTT time.Duration `yaml:"base_rtt"`
	// FlowScaling is by how many target delays more a flow with a tenth of a
	// datagram in flight tolerates; 0 to 100. It is what makes shares equal, and
	// what a thousand flows need, whose windows cannot even out their bursts.
	FlowScaling float64 `yaml:"flow_scaling"`
	// AdditiveIncrease is the window's growth in datagrams per round trip.
	AdditiveIncrease float64 `yaml:"additive_increase"`
	// Beta scales the decrease with the excess of delay; above 0, at most 1.
	Beta float64 `yaml:"beta"`
	// MaxDecrease is the largest decrease in one round trip, as a fraction.
	MaxDecrease float64 `yaml:"max_decrease"`
	// InitialWindow and MaxWindow are in bytes; MinWindow is in datagrams, and
	// may be a fraction of one.
	InitialWindow int     `yaml:"initial_window"`
	MaxWindow     int     `yaml:"max_window"`
	MinWindow     float64 `yaml:"min_window"`
}

func defaultSwift() SwiftConfig {
	return SwiftConfig{
		TargetDelay:      50 * time.Microsecond,
		TargetRTTs:       4,
		FlowScaling:      4,
		AdditiveIncrease: 1,
		Beta:             0.8,
		MaxDecrease:      0.5,
		InitialWindow:    64 << 10,
		MaxWindow:        DefaultWindow,
		MinWindow:        1. / 64,
	}
}

// Validate reports the key that is out of range.
func (c *SwiftConfig) Validate() error {
	return errors.Join(
		checkDelay(c.TargetDelay),
		checkRange("target_rtts", c.TargetRTTs, 0, 100),
		checkBase(c.BaseRTT),
		checkRange("flow_scaling", c.FlowScaling, 0, 100),
		checkRange("additive_increase", c.AdditiveIncrease, 0.001, 100),
		checkRange("beta", c.Beta, 0.01, 1),
		checkRange("max_decrease", c.MaxDecrease, 0.01, 0.9),
		checkWindows(c.InitialWindow, c.MaxWindow),
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
	leaving bool // slow start
}

var _ Controller = (*swift)(nil)

func newSwift(c SwiftConfig) Factory {
	return func(p Path) Controller {
		s := &swift{
			cfg:   &c,
			flow:  newFlow(p, c.InitialWindow, c.MaxWindow),
			delay: delay{target: c.TargetDelay, rtts: c.TargetRTTs, scale: 1, drains: c.BaseRTT == 0},
		}
		s.rebase(c.BaseRTT)
		s.least = c.MinWindow
		s.scaleFlow()
		return s
	}
}

// Window implements Controller.
func (s *swift) Window() int { return max(s.drained(s.flow.Window()), s.datagram) }

// Rate implements Controller.
func (s *swift) Rate() uint64 {
	if s.window >= float64(s.datagram) || s.mean == 0 {
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
	case s.sample(&a, s.tolerance()):
		s.decrease(&a)
	case s.starting && s.run == 0 && s.limited():
		s.resize(s.window + float64(bounded(a.Bytes)))
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
	if s.endRound(a.Now, a.InFlight) {
		s.recede()
		return
	}
	quiet := s.quiet(a.Now)
	if quiet >= quietLong {
		s.starting = s.window >= float64(s.datagram)
	}
	if !grow {
		return
	}
	if quiet >= quietSome {
		s.resize(s.window * quietGain)
		return
	}
	datagram := float64(s.datagram)
	if s.window < datagram {
		s.resize(s.window + min(datagram*fractionStep, s.window*fractionGrowth))
		return
	}
	// Between, it rises to the full increase at eight datagrams.
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
	if s.window < 8*datagram {
		level = rtt // few samples in a round trip
	}
	keep := max(1-s.cfg.Beta*float64(level-s.limit)/float64(level), 1-s.cfg.MaxDecrease)
	if s.leaving {
		keep = float64(s.limit) / float64(level) // the queue is of slow start's own making
	}
	s.resize(min(s.window, max(s.before*keep, datagram)))
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
