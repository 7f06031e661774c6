package cc

import "time"

const (
	// maxScale bounds the targets of long paths, in target delays.
	maxScale = 4
	// A run of rebaseSamples or more above the limit, for rebaseAfter, is no
	// queue: whoever caused one would have made room by then.
	rebaseSamples = 8
	rebaseAfter   = 100 * time.Millisecond
	// A flow that came to a standing queue takes too long a base, and then more
	// than its share. So it makes room for a moment, as BBR does to probe the
	// RTT, after drainAfter without a sample near the base; and again after twice
	// as long, up to drainMost.
	drainAfter = 5 * time.Millisecond
	drainMost  = time.Second
	drainBy    = 16
)

// delay tells a queue in the network from noise at its ends. A wake-up, a busy
// core or a stall of milliseconds delays some samples, or one burst of them; a
// queue delays all. So there is congestion when no sample was below the limit
// for a while, as in CoDel (RFC 8289, section 3.2).
type delay struct {
	target time.Duration // least queueing delay to tolerate
	rtts   float64       // or so many base RTTs, if that is more
	scale  float64       // of the limit's queueing delay; 1 unless flows are scaled

	// base is the least RTT seen: what the path takes without queues. It falls
	// at once. It does not age, since a path with a standing queue would then
	// take that for its base, and the queue would creep up. It rises when the
	// path shows that it no longer holds, see rebaseAfter.
	base  time.Duration
	slack time.Duration // queueing delay tolerated, before scaling
	limit time.Duration // base + slack * scale

	recent     [3]time.Duration // latest samples, newest first
	nearAt     time.Duration    // latest sample near the base
	drainEvery time.Duration
	drainSince time.Duration // 0: not draining
	typical    time.Duration

	crowdedAt time.Duration // end of the latest round trip that was not low

	run      int // samples above the limit in a row
	runSince time.Duration
	runLeast time.Duration
}

// sample takes in an RTT and says whether there is congestion.
func (d *delay) sample(now, rtt time.Duration) bool {
	d.recent[2], d.recent[1], d.recent[0] = d.recent[1], d.recent[0], rtt
	if rtt < d.base || d.base == 0 {
		if rtt < d.base*7/8 || d.base == 0 {
			d.nearAt, d.drainEvery, d.drainSince = now, drainAfter, 0
		}
		d.rebase(rtt)
	}
	d.drain(now, rtt)
	if rtt <= d.limit {
		d.run = 0
		return false
	}
	if d.run == 0 {
		d.runSince, d.runLeast = now, rtt
	}
	d.run++
	d.runLeast = min(d.runLeast, rtt)
	lasted := now - d.runSince
	if d.run >= rebaseSamples && lasted >= rebaseAfter {
		d.rebase(d.runLeast)
		d.run = 0
		return false
	}
	// After a stall, packets sent before its end still come in for a round trip,
	// and that is within the limit: twice as long is no stall.
	return d.run > 1 && lasted/2 >= d.limit
}

func (d *delay) drain(now, rtt time.Duration) {
	switch waited := now - d.nearAt; {
	case d.drainSince != 0:
		if now-rtt >= d.drainSince { // left since
			d.nearAt, d.drainEvery, d.drainSince = now, min(2*d.drainEvery, drainMost), 0
		}
	case waited >= d.drainEvery, waited >= d.drainEvery/2 && rtt < d.typical*7/8:
		d.drainSince = now
	}
	d.typical += (rtt - d.typical) / 16
}

// drained is a window or rate, or the part of it that makes room.
func (d *delay) drained(whole int) int {
	if d.drainSince != 0 {
		return max(1, whole/drainBy)
	}
	return whole
}

// level is the delay at present, less spikes: the least of the latest samples.
func (d *delay) level() time.Duration {
	least := d.recent[0]
	for _, rtt := range d.recent[1:] {
		if rtt > 0 {
			least = min(least, rtt)
		}
	}
	return least
}

// round takes in the least RTT of a round trip.
func (d *delay) round(now, least time.Duration) {
	if least > d.base+d.slack/2 {
		d.crowdedAt = now
	}
}

// quiet is for how long the path has had room to spare, in limits: round trips
// of a path that is just not congested.
func (d *delay) quiet(now time.Duration) int { return int((now - d.crowdedAt) / d.limit) }

func (d *delay) rebase(base time.Duration) {
	d.base = base
	scaled := time.Duration(min(d.rtts*float64(base), maxScale*float64(d.target)))
	d.slack = max(d.target, scaled)
	d.setScale(d.scale)
}

func (d *delay) setScale(scale float64) {
	d.scale = scale
	d.limit = d.base + time.Duration(float64(d.slack)*scale)
}
