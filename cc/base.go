package cc

import (
	"math/bits"
	"time"
)

const (
	// maxScale bounds the targets of long paths, in target delays. Ours: a
	// kernel's 50 µs count in full, a stalled host's milliseconds do not.
	maxScale = 4
	// A base that was not seen again for as long as ageAfter rises by a quarter: a
	// route grew longer. It rises no faster, since a standing queue looks the same.
	// The time is that of BBR's filter (draft-ietf-ccwg-bbr, MinRTTFilterLen).
	ageAfter = 10 * time.Second
	// A flow that came to a standing queue takes too long a base, and then more
	// than its share. So it makes room for a round trip now and then, as BBR does
	// to probe the RTT: after drainAfter, and again after twice as long each, up to
	// drainMost, or up to drainRarest where a round trip is long or many share so little
	// that it takes long. Only together do many see below their own queue, and those
	// that send to one peer hear one clock: they begin when it passes a multiple of what
	// they wait for, or when they notice that others do. The figures are ours: with them
	// flows that join are fair within 5 ms (docs/congestion.md, fairness), and what is
	// given up soon is next to nothing.
	drainAfter  = time.Microsecond << 10
	drainMost   = time.Microsecond << 18
	drainRarest = time.Microsecond << 20
	drainTrips  = 2048 // round trips, and
	drainTimes  = 32   // times as long as it took, are rare enough
	drainBy     = 16   // leaves this part of the window
	idleLimits  = 16   // a pause that long makes room as well
)

// baseRTT is what a path takes without queues, and what delay is tolerated on
// top of that.
type baseRTT struct {
	target time.Duration // least queueing delay to tolerate
	rtts   float64       // or so many base RTTs, if that is more
	drains bool          // make room now and then, see drainAfter

	base  time.Duration // least RTT seen, or as configured
	slack time.Duration // queueing delay tolerated
	scale float64       // and so many times that, for this flow
	limit time.Duration // base + slack * scale

	aged     time.Duration // since when ageLeast is the least RTT
	ageLeast time.Duration // 0: no sample yet

	sampledAt  time.Duration
	clock      uint32 // the peer's; 0: it was not told yet
	drainedAt  time.Duration
	drainEvery time.Duration
	drainSince time.Duration // 0: not draining
}

func newBaseRTT(c DelayConfig, drains bool) baseRTT {
	b := baseRTT{target: c.TargetDelay, rtts: c.TargetRTTs, scale: 1, drains: drains && c.BaseRTT == 0}
	b.rebase(c.BaseRTT)
	return b
}

// learn takes in a sample.
func (b *baseRTT) learn(now, rtt time.Duration) {
	if b.ageLeast == 0 {
		b.aged, b.ageLeast = now, rtt
	}
	if rtt < b.base || b.base == 0 {
		b.discover(now, rtt)
	}
	b.ageLeast = min(b.ageLeast, rtt)
	if now-b.aged >= ageAfter {
		b.rebase(min(b.ageLeast, b.base+b.base/4))
		b.aged, b.ageLeast = now, rtt
	}
}

// discover takes in a new least RTT.
func (b *baseRTT) discover(now, rtt time.Duration) {
	b.aged, b.ageLeast = now, rtt
	if rtt < b.base/8*7 || b.base == 0 {
		b.drainedAt, b.drainEvery, b.drainSince = now, drainAfter, 0
	}
	b.rebase(rtt)
}

// drain begins and ends making room, on a path that has the mean RTT of late. It does
// not begin where acknowledgements wait for long: far.
func (b *baseRTT) drain(a *Ack, mean time.Duration, far bool) {
	now, rtt := a.Now, a.RTT
	struck := b.struck(a.Clock, b.drainEvery)
	if b.drainSince == 0 && (far || now-b.sampledAt > idleLimits*b.limit) {
		b.drainedAt, struck = now, false
	}
	b.sampledAt = now
	waited := now - b.drainedAt
	switch {
	case b.drainSince != 0:
		if a.Sent >= b.drainSince+mean { // others have begun by then
			took := now - b.drainSince
			rare := min(max(drainMost, drainTrips*b.base, drainTimes*took), drainRarest)
			b.drainEvery = min(2*max(b.drainEvery, took), rare)
			b.drainedAt, b.drainSince = now, 0
		}
	case struck, b.clock == 0 && waited >= b.drainEvery, waited >= b.drainEvery/2 && rtt < mean/8*7:
		b.drainSince = now
	}
}

// struck says whether the peer's clock passed a multiple of every, taken to the power
// of two of microseconds above it: who waits for longer is joined by who waits for less.
func (b *baseRTT) struck(clock uint32, every time.Duration) bool {
	if clock == 0 {
		return false
	}
	was := b.clock
	b.clock = clock
	return was != 0 && (was^clock)>>bits.Len32(uint32((every-1)/time.Microsecond)) != 0
}

// drained is the window, or the part of it that makes room.
func (b *baseRTT) drained(window int) int {
	if b.drainSince != 0 {
		return window / drainBy
	}
	return window
}

func (b *baseRTT) rebase(base time.Duration) {
	b.base = base
	scaled := time.Duration(min(b.rtts*float64(base), maxScale*float64(b.target)))
	b.slack = max(b.target, scaled)
	b.setScale(b.scale)
}

func (b *baseRTT) setScale(scale float64) {
	b.scale = scale
	b.limit = b.base + time.Duration(float64(b.slack)*scale)
}
