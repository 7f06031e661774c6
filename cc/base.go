package cc

import "time"

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
	// drainMost, and together with others that it notices to do so. The figures are
	// ours: with them flows that join are fair within 5 ms (docs/congestion.md,
	// fairness), and what is given up soon is next to nothing.
	drainAfter = 1 * time.Millisecond
	drainMost  = time.Second
	drainBy    = 16 // leaves this part of the window
	idleLimits = 16 // a pause that long makes room as well
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

// drain begins and ends making room, on a path that has the mean RTT of late.
func (b *baseRTT) drain(a *Ack, mean time.Duration) {
	now, rtt := a.Now, a.RTT
	if now-b.sampledAt > idleLimits*b.limit {
		b.drainedAt, b.drainSince = now, 0
	}
	b.sampledAt = now
	waited := now - b.drainedAt
	switch {
	case b.drainSince != 0:
		if a.Sent >= b.drainSince {
			b.drainedAt, b.drainEvery, b.drainSince = now, min(2*b.drainEvery, drainMost), 0
		}
	case waited >= b.drainEvery, waited >= b.drainEvery/2 && rtt < mean/8*7:
		b.drainSince = now
	}
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
