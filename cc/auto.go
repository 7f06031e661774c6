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
	// Who came with many others may have seen as much of a short one. So it has to be
	// the least for so long, in which room is made several times.
	autoFar = 250 * time.Millisecond
	// A queue that stands for twice as long, and for twice autoTrips round trips,
	// although this sender made room in each, is someone's who does not. Incasts of a
	// thousand under one control settle within 5 ms (docs/congestion.md). Twice the most
	// is less than what delay takes for another route.
	// The delay is then so many times what is tolerated, or more, in each sample, and
	// does not shrink from one half of that time to the other: senders that came together
	// and make room take it down by at least so much, however many they are.
	autoOver                       = 2
	autoPatience, autoPatienceMost = 10 * time.Millisecond, rebaseAfter * 2 / 5
	autoTrips                      = 4
	autoSamples                    = 4
	autoShrinks                    = 8
	// After autoHold among others it is tried whether they are still there, and after
	// twice as long each time that they are, up to autoHoldMost. That is done when the
	// peer's clock strikes (see drainAfter), or where it is not known when something is
	// lost, or else after autoLate times as long: a queue that overflows tells all who
	// share it at once, and only together do many see below their own queue. It takes
	// some round trips.
	autoHold, autoHoldMost = 250 * time.Millisecond, 4 * time.Second
	autoLate               = 4
	// Who then thought wrongly to be alone takes so many times as long to the next.
	autoWrong, autoHoldWrong = 4, 8 * time.Second
	autoLookRounds           = 3
	// A queue that falls to this part, since all others looked as well, is nobody
	// else's.
	autoLookPart = 4
	// A look is so rare, in round trips, that it costs next to nothing, and rarer on
	// a long way, which is hardly ever found to be a short one.
	autoRare, autoRareFar = 100, 1000
	// On a short way on which nothing waits so many lost datagrams of so many sent are no
	// chance: 3 %, where BBR bears 2 (see lossThreshold). It is measured over more of them,
	// since the verdict holds for long: of 1 % by chance it makes next to none.
	autoLossy, autoLossyOf = 32, 1024
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

// Default makes what is used where nobody chose: "auto" with its defaults.
func Default() Factory { return newAuto(defaultAuto()) }

// auto is swift where the path is ours, and cubic where it is shared with others
// who fill its queue or where its switches mark, in the manner of Copa's mode
// switch (Arun and Balakrishnan, NSDI 2018). What shows it:
//
//   - A short way and no delay that lasts: swift.
//   - Delay that stays although this sender makes room: cubic, from the window
//     that it had before. Much loss where nothing queues likewise: a short buffer, or
//     a limiter of rates, that others share by losses. A little is chance.
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
	// Bytes that arrived or were lost, and those lost while nothing waited.
	tried, lost int
	// fair is the window before the present congestion; 0: there is none.
	fair float64

	overs                 int // samples in a row that are far above the limit
	overSince             time.Duration
	overLeast, overBefore time.Duration // the least queue of them, and before; 0: none

	sharedAt time.Duration // or looked at since, or marked
	keptAt   time.Duration // it was swift since
	hold     time.Duration
	kept     float64 // cubic's window before that
	// A look: since when, for how many round trips by now, the least RTT of it, and
	// the RTT and how much was in flight before.
	lookAt    time.Duration // 0: none
	looks     int
	lookLeast time.Duration
	lookFrom  time.Duration
	lookPeak  int
}

var _ Controller = (*auto)(nil)

func newAuto(c AutoConfig) Factory {
	byDelay, byLoss := defaultSwift(), defaultCubic()
	byDelay.DelayConfig, byDelay.WindowConfig, byLoss.WindowConfig = c.DelayConfig, c.WindowConfig, c.WindowConfig
	makeSwift, makeCubic := newSwift(byDelay), newCubic(byLoss)
	return func(p Path) Controller {
		a := &auto{swift: makeSwift(p).(*swift), cubic: makeCubic(p).(*cubic), hold: autoHold}
		a.swift.stays = true
		return a
	}
}

// Window implements Controller.
func (a *auto) Window() int {
	switch {
	case !a.sharing:
		return a.swift.Window()
	case a.lookAt != 0:
		return a.cubic.datagram
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
			a.cubic.base = a.swift.base
			a.look(k.Now, k.Sent, rtt, k.Clock)
		}
		return
	}
	a.tried = bounded(a.tried + bounded(k.Bytes))
	if a.idle(&k) {
		a.swift.timeouts = 0
		a.swift.ageLeast = min(a.swift.ageLeast, k.RTT)
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
	case s.base > autoNear && s.run == 0 && s.window >= lossFloor*float64(s.datagram) && a.settled(k.Now):
		a.share(&k, s.window)
		if !s.crowded && s.starting {
			a.cubic.threshold = math.Inf(1)
		}
	case k.CE > 0:
		a.share(&k, reach)
		a.cubic.Acked(Ack{Now: k.Now, CE: k.CE, Sent: k.Sent, InFlight: k.InFlight})
	case a.stands(k.Now, min(k.RTT, maxRTT)):
		if a.kept > 0 && k.Now-a.keptAt < autoHoldMost {
			a.hold = min(autoWrong*a.hold, autoHoldWrong)
			a.share(&k, a.kept) // they were there still
			break
		}
		// As one who comes: in slow start, until something is lost.
		a.share(&k, max(a.fair, s.window))
		a.cubic.threshold = math.Inf(1)
	}
}

// idle says whether an acknowledgement tells of a short way on which nothing waits,
// and that little is sent: there is nothing to learn then, and so it costs nothing.
func (a *auto) idle(k *Ack) bool {
	s := a.swift
	return k.RTT >= s.base && k.RTT <= s.base+s.slack/2 && s.base <= autoNear && k.CE == 0 &&
		s.run == 0 && !s.crowded && !s.limited() && s.drainSince == 0 &&
		k.Datagram == s.datagram && k.Now-s.aged < ageAfter && s.base != 0
}

// settled says whether the base RTT is what it was for a while.
func (a *auto) settled(now time.Duration) bool {
	return now-max(a.swift.aged, a.firstAt) >= max(autoFar, autoTrips*a.swift.base)
}

// stands says whether a queue stands that is not of this sender's making.
func (a *auto) stands(now, rtt time.Duration) bool {
	s := a.swift
	if rtt <= 0 {
		return false
	}
	if rtt < s.base+autoOver*(s.limit-s.base) || s.run == 0 || !s.exceeds(rtt, s.tolerance()) {
		a.overs, a.overBefore = 0, 0
		return false
	}
	if a.overs++; a.overs == 1 {
		a.overSince, a.overLeast = now, rtt-s.base
	}
	a.overLeast = min(a.overLeast, rtt-s.base)
	if !s.crowded || a.overs < autoSamples || now-a.overSince < min(max(autoPatience, autoTrips*s.smoothed), autoPatienceMost) {
		return false
	}
	before := a.overBefore
	a.overs, a.overBefore = 0, a.overLeast
	return before != 0 && a.overLeast > before-before/autoShrinks
}

// Lost implements Controller.
func (a *auto) Lost(l Loss) {
	if !a.sharing {
		s := a.swift
		if s.crowded || s.run > 0 || bounded(l.Bytes) == 0 {
			s.Lost(l) // delay answers to it
			return
		}
		if s.starting && (a.startLost == 0 || l.Now-a.startLost > autoHoldMost) || s.base > autoNear && !a.settled(l.Now) {
			a.startLost = l.Now
			s.recede() // went too far
			return
		}
		if s.base <= autoNear && !a.lossy(l.Bytes) {
			s.Lost(l)
			return
		}
		a.share(&Ack{Now: l.Now, InFlight: l.InFlight}, s.reach())
	}
	a.cubic.Lost(l)
	if a.lookAt == 0 && a.swift.clock == 0 && l.Now-a.sharedAt >= a.pause() {
		a.begin(l.Now)
	}
}

// lossy takes in a loss and says whether there were too many of late to be by chance.
func (a *auto) lossy(bytes int) bool {
	a.lost += bounded(bytes)
	a.tried = bounded(a.tried + bounded(bytes))
	for ; a.tried >= autoLossyOf*a.swift.datagram; a.tried /= 2 {
		a.lost /= 2
	}
	return a.lost >= autoLossy*a.swift.datagram
}

// Spurious implements Controller.
func (a *auto) Spurious(now time.Duration, bytes int) {
	if a.sharing {
		a.cubic.Spurious(now, bytes)
	} else {
		a.lost = max(0, a.lost-bounded(bytes))
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
	u.base, u.smoothed, u.ackedAt = s.base, s.smoothed, k.Now
	u.resize(window)
	u.cubicState = cubicState{threshold: u.window}
	u.peak = max(u.peak, int(u.window)) // it is paced up to there
}

// keep turns to swift, with what of the window is not in the queue.
func (a *auto) keep(now time.Duration) {
	s, u := a.swift, a.cubic
	a.sharing, a.keptAt, a.lookAt = false, now, 0
	a.kept = u.window
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

// rare is how long it stays among others at least before it looks again.
func (a *auto) rare() time.Duration {
	if a.swift.base > autoNear {
		return autoRareFar * a.cubic.smoothed
	}
	return autoRare * a.cubic.smoothed
}

// pause is how long it stays among others before it looks again.
func (a *auto) pause() time.Duration { return max(a.hold, a.rare()) }

// begin begins a look.
func (a *auto) begin(now time.Duration) {
	u := a.cubic
	a.lookAt, a.looks, a.lookLeast = now, 0, maxRTT
	a.lookFrom, a.lookPeak = u.smoothed, max(u.peak, u.lastPeak)
}

// look sees below the own queue now and then.
func (a *auto) look(now, sent, rtt time.Duration, clock uint32) {
	u, s := a.cubic, a.swift
	struck := s.struck(clock, a.pause())
	if a.lookAt == 0 {
		shared, pause := now-a.sharedAt, a.pause()
		if shared >= autoLate*pause || shared >= pause && struck ||
			shared >= pause/2 && rtt < u.smoothed/8*7 ||
			shared >= a.rare()/2 && u.smoothed > s.limit && rtt-s.base < (u.smoothed-s.base)/2 { // most others look
			a.begin(now)
		}
		return
	}
	u.peak = a.lookPeak // the window is as good as used
	a.lookLeast = min(a.lookLeast, rtt)
	if sent < a.lookAt {
		return
	}
	a.looks++
	a.lookAt = now
	switch {
	case s.base <= autoNear && a.lookLeast <= max(s.limit, s.base+(a.lookFrom-s.base)/autoLookPart):
		a.keep(now)
		a.hold = min(2*a.hold, max(a.hold, autoHoldMost))
	case a.looks >= autoLookRounds:
		a.lookAt, a.sharedAt = 0, now
		a.hold = min(2*a.hold, max(a.hold, autoHoldMost))
	}
}
