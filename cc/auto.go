package cc

import (
	"errors"
	"math"
	"time"
)

const (
	// Within a data centre or a region a base RTT is at most autoNear. Beyond, what
	// is queued is small beside the noise of a long path, and others are met.
	autoNear = 2 * time.Millisecond
	// A queue that stands for so long, and for autoTrips round trips, although this
	// sender made room in each, is someone's who does not. Incasts of a thousand
	// under one control settle within 5 ms (docs/congestion.md). The most is less than
	// what delay takes for another route.
	// The delay is then so many times what is tolerated, or more, in each sample.
	autoOver                       = 2
	autoPatience, autoPatienceMost = 10 * time.Millisecond, rebaseAfter * 4 / 5
	autoTrips                      = 4
	// After autoHold among others it is tried whether they are still there, and after
	// twice as long each time that they are, up to autoHoldMost. To see below the own
	// queue takes some round trips.
	autoHold, autoHoldMost = 250 * time.Millisecond, 4 * time.Second
	autoLookRounds         = 3
	// A look is so rare, in round trips, that it costs next to nothing, and rarer on
	// a long way, which is hardly ever found to be a short one.
	autoRare, autoRareFar = 100, 1000
)

// AutoConfig holds the parameters of "auto".
type AutoConfig struct {
	DelayConfig  `yaml:",inline"`
	WindowConfig `yaml:",inline"`
}

// defaultAuto begins as TCP and QUIC do.
func defaultAuto() AutoConfig {
	return AutoConfig{DelayConfig: defaultDelays(), WindowConfig: defaultCubic().WindowConfig}
}

// Validate reports the key that is out of range.
func (c *AutoConfig) Validate() error {
	return errors.Join(c.DelayConfig.validate(), c.WindowConfig.validate())
}

func init() {
	Register(Algorithm{
		Name:   "auto",
		Config: func() any { c := defaultAuto(); return &c },
		New:    configured(newAuto),
	})
}

// auto is swift where the path is ours, and cubic where it is shared with others
// who fill its queue or where its switches mark, in the manner of Copa's mode
// switch (Arun and Balakrishnan, NSDI 2018). What shows it:
//
//   - A short way and no delay that lasts: swift.
//   - Delay that stays although this sender makes room: cubic, from the window
//     that it had before. Loss where nothing queues likewise: a short buffer, or a
//     limiter of rates, that others share by losses.
//   - Marks: cubic, which heeds them as RFC 3168 asks, and then queues as little.
//
// Among others it looks now and then, for some round trips, what the queue is
// without its own packets, and together with whom it notices to do so. If there is
// none it is swift again.
type auto struct {
	swift *swift
	cubic *cubic

	sharing   bool          // it is cubic
	firstAt   time.Duration // acknowledgement; 0: none
	startLost time.Duration // latest loss in slow start; 0: none
	// fair is the window before the present congestion; 0: there is none.
	fair float64

	overs     int // samples in a row that are far above the limit
	overSince time.Duration

	sharedAt time.Duration // or looked at since, or marked
	keptAt   time.Duration // it was swift since
	hold     time.Duration
	// A look: since when, for how many round trips by now, the least RTT of it, and
	// how much was in flight before.
	lookAt    time.Duration // 0: none
	looks     int
	lookLeast time.Duration
	lookPeak  int
}

var _ Controller = (*auto)(nil)

func newAuto(c AutoConfig) Factory {
	byDelay, byLoss := defaultSwift(), defaultCubic()
	byDelay.DelayConfig, byDelay.WindowConfig, byLoss.WindowConfig = c.DelayConfig, c.WindowConfig, c.WindowConfig
	makeSwift, makeCubic := newSwift(byDelay), newCubic(byLoss)
	return func(p Path) Controller {
		return &auto{swift: makeSwift(p).(*swift), cubic: makeCubic(p).(*cubic), hold: autoHold}
	}
}

// Window implements Controller.
func (a *auto) Window() int {
	switch {
	case !a.sharing:
		return a.swift.Window()
	case a.lookAt != 0:
		return min(a.cubic.Window(), cubicLeast*a.cubic.datagram)
	}
	return a.cubic.Window()
}

// Rate implements Controller.
func (a *auto) Rate() uint64 {
	if a.sharing {
		return a.cubic.Rate()
	}
	return a.swift.Rate()
}

// Sent implements Controller.
func (a *auto) Sent(now time.Duration, bytes, inFlight int) {
	if a.sharing {
		a.cubic.Sent(now, bytes, inFlight)
	} else {
		a.swift.Sent(now, bytes, inFlight)
	}
}

// Acked implements Controller.
func (a *auto) Acked(k Ack) {
	if a.sharing {
		a.cubic.Acked(k)
		if k.CE > 0 {
			a.sharedAt = k.Now
		}
		if rtt := min(k.RTT, maxRTT); rtt > 0 {
			a.swift.learn(k.Now, rtt)
			a.look(k.Now, k.Sent, rtt)
		}
		return
	}
	if a.firstAt == 0 {
		a.firstAt = k.Now
	}
	reach := a.swift.reach()
	a.swift.Acked(k)
	s := a.swift
	switch {
	case s.run == 0:
		a.fair = 0
	case a.fair == 0:
		a.fair = reach
	}
	switch {
	case s.base > autoNear && k.Now-a.firstAt >= max(autoPatience, autoTrips*s.base):
		a.share(&k, s.window)
		if !s.crowded && s.starting {
			a.cubic.threshold = math.Inf(1)
		}
	case k.CE > 0:
		a.share(&k, reach)
		a.cubic.Acked(Ack{Now: k.Now, CE: k.CE, Sent: k.Sent, InFlight: k.InFlight})
	case a.stands(k.Now, min(k.RTT, maxRTT)):
		// As one who comes: in slow start, until something is lost.
		a.share(&k, max(a.fair, s.window))
		a.cubic.threshold = math.Inf(1)
	}
}

// stands says whether a queue stands that is not of this sender's making.
func (a *auto) stands(now, rtt time.Duration) bool {
	s := a.swift
	if rtt <= 0 {
		return false
	}
	if rtt < s.base+autoOver*(s.limit-s.base) || s.run == 0 {
		a.overs = 0
		return false
	}
	if a.overs++; a.overs == 1 {
		a.overSince = now
	}
	return s.crowded && a.overs > rebaseSamples && now-a.overSince >= min(max(autoPatience, autoTrips*s.smoothed), autoPatienceMost)
}

// Lost implements Controller.
func (a *auto) Lost(l Loss) {
	if !a.sharing {
		s := a.swift
		if s.crowded || s.run > 0 || bounded(l.Bytes) == 0 {
			s.Lost(l) // delay answers to it
			return
		}
		if s.starting && (a.startLost == 0 || l.Now-a.startLost > autoHoldMost) {
			a.startLost = l.Now
			s.recede() // went too far
			return
		}
		a.share(&Ack{Now: l.Now, InFlight: l.InFlight}, s.reach())
	}
	a.cubic.Lost(l)
}

// Spurious implements Controller.
func (a *auto) Spurious(now time.Duration, bytes int) {
	if a.sharing {
		a.cubic.Spurious(now, bytes)
	}
}

// TimedOut implements Controller.
func (a *auto) TimedOut(now time.Duration) {
	if a.sharing {
		a.lookAt = 0
		a.cubic.TimedOut(now)
	} else {
		a.swift.TimedOut(now)
	}
}

// share turns to cubic, with a window.
func (a *auto) share(k *Ack, window float64) {
	s, u := a.swift, a.cubic
	if k.Now-a.keptAt > autoHoldMost {
		a.hold = autoHold
	}
	a.sharing, a.sharedAt, a.lookAt = true, k.Now, 0
	starting, datagram, most := u.starting, s.datagram, s.most
	u.flow = s.flow
	u.least, u.starting, u.datagram, u.most = cubicLeast, starting, datagram, most
	u.prr, u.leaving = reduction{}, hystart{}
	u.flying, u.cutAt, u.inVain = bounded(k.InFlight), -1, 0
	u.smoothed, u.ackedAt = s.smoothed, k.Now
	u.resize(window)
	u.cubicState = cubicState{threshold: u.window}
	u.peak = max(u.peak, int(u.window)) // it is paced up to there
}

// keep turns to swift, with what of the window is not in the queue.
func (a *auto) keep(now time.Duration) {
	s, u := a.swift, a.cubic
	a.sharing, a.keptAt, a.lookAt = false, now, 0
	window := u.window
	if u.smoothed > s.base && s.base > 0 {
		window *= float64(s.base) / float64(u.smoothed)
	}
	least := s.least
	s.flow = u.flow
	s.least, s.starting, s.timeouts = least, false, 0
	s.silent(now)
	s.silentAt = 0
	s.resize(window)
	s.scaleFlow()
	s.crowdedAt = now
}

// look sees below the own queue now and then.
func (a *auto) look(now, sent, rtt time.Duration) {
	u, s := a.cubic, a.swift
	if a.lookAt == 0 {
		rare := autoRare * u.smoothed
		if s.base > autoNear {
			rare = autoRareFar * u.smoothed
		}
		shared, hold := now-a.sharedAt, max(a.hold, rare)
		if shared >= hold || shared >= hold/2 && rtt < u.smoothed/8*7 {
			a.lookAt, a.looks, a.lookLeast, a.lookPeak = now, 0, rtt, max(u.peak, u.lastPeak)
		}
		return
	}
	u.peak = a.lookPeak // the window is as good as used
	if sent < a.lookAt {
		return
	}
	a.looks++
	a.lookAt, a.lookLeast = now, min(a.lookLeast, rtt)
	switch {
	case a.lookLeast <= s.limit && s.base <= autoNear:
		a.keep(now)
		a.hold = min(2*a.hold, autoHoldMost)
	case a.looks >= autoLookRounds:
		a.lookAt, a.sharedAt = 0, now
		a.hold = min(2*a.hold, autoHoldMost)
	}
}
