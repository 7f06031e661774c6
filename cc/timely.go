package cc

import (
	"errors"
	"time"
)

const (
	// keepDelivered is the fraction of what arrived in a round trip below which
	// the rate does not fall in it. Ours.
	keepDelivered = 0.85
	// maxCut bounds a decrease, as in eRPC (src/cc/timely.h).
	maxCut = 0.5
)

// TimelyConfig holds the parameters of "timely". The names are those of the
// papers; rates are in bytes per second.
type TimelyConfig struct {
	// TargetDelay and base RTT together are T_low.
	DelayConfig `yaml:",inline"`
	// HighDelay is T_high, in targets: above it the gradient does not matter.
	HighDelay float64 `yaml:"high_delay"`
	// AddRate is δ, the additive increase in each round trip.
	AddRate float64 `yaml:"add_rate"`
	// Alpha weighs the latest RTT difference in the gradient. Beta scales
	// decreases below T_high and HighBeta those above. All are above 0 and at
	// most 1.
	Alpha    float64 `yaml:"alpha"`
	Beta     float64 `yaml:"beta"`
	HighBeta float64 `yaml:"high_beta"`
	// MinRate is the least rate.
	MinRate      float64 `yaml:"min_rate"`
	WindowConfig `yaml:",inline"`
}

// defaultTimely has T_high of 500 µs, and HighBeta, of TIMELY's section 6 (as
// quoted by others), and AddRate and Alpha of eRPC (src/cc/timely.h and
// timely_sweep_params.h: kAddRate, kEwmaAlpha), where Alpha was tuned for incasts
// of 17 to 23. TIMELY has 10 Mbit/s for δ and 0.02 for α.
//
// Beta is ours. eRPC has 0.008 with the patched gradient and 0.26 without, as it
// ships. With 0.008, 0.05 and 0.26, 50 senders queue for 523, 222 and 93 µs, and
// Jain's index of five is 0.77, 0.84 and 0.54 (peregrine sim, 25 Gbit/s, 20 ms).
//
// MinRate is ours: with eRPC's 15 MB/s, 1,000 senders overload 100 Gbit/s.
func defaultTimely() TimelyConfig {
	return TimelyConfig{
		DelayConfig:  defaultDelays(),
		HighDelay:    10,
		AddRate:      5e6,
		Alpha:        0.46,
		Beta:         0.05,
		HighBeta:     0.8,
		MinRate:      1e6,
		WindowConfig: defaultWindows(),
	}
}

// Validate reports the key that is out of range.
func (c *TimelyConfig) Validate() error {
	return errors.Join(
		c.DelayConfig.validate(),
		checkRange("high_delay", c.HighDelay, 1, 1000),
		checkRange("add_rate", c.AddRate, 1e3, 1e9),
		checkRange("alpha", c.Alpha, 0.01, 1),
		checkRange("beta", c.Beta, 0.001, 1),
		checkRange("high_beta", c.HighBeta, 0.01, 1),
		checkRange("min_rate", c.MinRate, 1e3, 1e9),
		c.WindowConfig.validate(),
	)
}

func init() {
	Register(Algorithm{
		Name:   "timely",
		Config: func() any { c := defaultTimely(); return &c },
		New:    configured(newTimely),
	})
}

// timely is TIMELY (Mittal et al., SIGCOMM 2015) with the patched gradient of
// Zhu et al. (ECN or Delay, CoNEXT 2016, algorithm 2), which gives it a fixed
// point. As in eRPC (NSDI 2019), an uncongested path is not paced and costs no
// update.
//
// Where it differs: eRPC goes back to that only once additive steps have brought
// the rate to the link's, which noise prevents. Here the pace comes to an end as
// soon as it is twice what the application sends, and begins at what the window
// delivered. The gradient is taken once per round trip, from its least RTT.
type timely struct {
	flow
	delay
	cfg      *TimelyConfig
	linkRate float64 // bytes per second; 0: unknown
	rate     float64 // bytes per second; 0: not paced
	before   float64 // window when the pace began, at pacedAt
	pacedAt  time.Duration
	previous time.Duration
	change   float64 // moving average of RTT differences, in seconds
}

var _ Controller = (*timely)(nil)

func newTimely(c TimelyConfig) Factory {
	return func(p Path) Controller {
		return &timely{
			cfg:      &c,
			flow:     newFlow(p, c.WindowConfig),
			delay:    delay{baseRTT: newBaseRTT(c.DelayConfig, false)},
			linkRate: float64(p.LinkRate) / 8,
		}
	}
}

// Rate implements Controller.
func (t *timely) Rate() uint64 { return uint64(t.rate) }

// Acked implements Controller.
func (t *timely) Acked(a Ack) {
	ended := t.acked(&a)
	if a.RTT <= 0 {
		return
	}
	congested := t.sample(&a) && t.exceeds(a.RTT, noise)
	if t.base == 0 {
		return
	}
	switch {
	case t.rate != 0:
		// The queue that slow start made is still in the RTTs of what it sent.
		if a.Sent < t.pacedAt {
			t.pace(min(t.rate, t.before/t.level().Seconds()))
		}
	case congested:
		t.before, t.pacedAt = t.reach(), a.Now
		t.pace(t.before / t.level().Seconds())
	case t.run == 0:
		t.start(a.Bytes)
	}
	if ended {
		t.round(&a)
	}
}

// TimedOut implements Controller.
func (t *timely) TimedOut(now time.Duration) {
	t.resize(t.reach())
	t.flow.TimedOut(now)
	t.silent(now)
	t.rate = 0
}

func (t *timely) round(a *Ack) {
	rtt, delivered, took := t.roundLeast, float64(t.delivered), a.Now-t.roundStart
	if t.endRound(a.Now, a.InFlight) {
		if t.rate == 0 {
			t.pace(t.reach() / rtt.Seconds())
		}
		t.pace(t.rate * lossFactor)
		return
	}
	if t.rate == 0 {
		return
	}
	sent := delivered / max(took, 1).Seconds()
	quiet := t.quiet(a.Now, quietSome)
	// What arrived is our share, and somewhat less than that drains the queue:
	// decreases that have yet to take effect shall not add up.
	t.pace(max(t.next(rtt, quiet), min(t.rate, keepDelivered*sent)))
	if quiet && (t.rate > 2*sent || t.linkRate > 0 && t.rate >= t.linkRate) {
		t.rate = 0
		t.resize(2 * t.reach())
	}
}

// next is the rate after a round trip of at least rtt.
func (t *timely) next(rtt time.Duration, quiet bool) float64 {
	difference := (rtt - t.previous).Seconds()
	t.previous = rtt
	t.change += t.cfg.Alpha * (difference - t.change)
	// A quarter at most: many slow flows grow by much together.
	step := min(t.cfg.AddRate, t.rate/4)
	if quiet {
		return t.rate * quietGain
	}
	if rtt < t.limit {
		return t.rate + step
	}
	excess := float64(rtt-t.limit) / float64(t.limit)
	weight := min(max(2*t.change/t.base.Seconds()+0.5, 0), 1) // Zhu et al.'s w(g)
	if high := t.high(); rtt > high {
		return t.rate * (1 - t.cfg.HighBeta*(1-float64(high)/float64(rtt)))
	}
	return t.rate*(1-min(t.cfg.Beta*weight*excess, maxCut)) + step*(1-weight)
}

// high is T_high as an RTT.
func (t *timely) high() time.Duration {
	return t.base + time.Duration(t.cfg.HighDelay*float64(t.slack))
}

// pace sets the rate, and a window that it does not run into unless the path
// stands still.
func (t *timely) pace(rate float64) {
	if t.rate == 0 {
		t.previous, t.change = t.level(), 0
	}
	t.rate = min(max(rate, t.cfg.MinRate), 1e12)
	t.resize(t.rate * t.high().Seconds())
}
