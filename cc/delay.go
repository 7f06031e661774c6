package cc

import "time"

const (
	// maxScale bounds the targets of long paths, in target delays.
	maxScale = 4
	// A run of rebaseSamples or more above the limit, for rebaseAfter, is no
	// queue: whoever caused one would have made room by then.
	rebaseSamples = 8
	rebaseAfter   = 100 * time.Millisecond
	// A base that was not seen again for as long as ageAfter rises by a quarter: a
	// route grew longer. It rises no faster, since a standing queue looks the same.
	ageAfter = 10 * time.Second
	// A flow that came to a standing queue takes too long a base, and then more
	// than its share. So it makes room for a round trip now and then, as BBR does
	// to probe the RTT: after drainAfter, and again after twice as long each, up to
	// drainMost, and together with others that it notices to do so.
	drainAfter = 1 * time.Millisecond
	drainMost  = time.Second
	drainBy    = 16
	idleLimits = 16
	// A sample has to exceed the limit by noise deviations, or who has less than a
	// datagram in flight by deafNoise: a queue is more even than a noisy path, and
	// there sending less does not help.
	noise, deafNoise = 2, 4
)

// delay tells a queue in the network from noise at its ends. A wake-up, a busy
// core or a stall of milliseconds delays some samples, or one burst of them; a
// queue delays all. So congestion begins when no sample was below the limit for
// a while, as in CoDel (RFC 8289, section 3.2). It ends when the path has been
// quiet; until then each sample counts.
type delay struct {
	target time.Duration // least queueing delay to tolerate
	rtts   float64       // or so many base RTTs, if that is more
	drains bool          // make room now and then, see drainAfter

	base  time.Duration // least RTT seen: what the path takes without queues
	slack time.Duration // queueing delay tolerated
	scale float64       // and so many times that, for this flow
	limit time.Duration // base + slack * scale

	recent    [3]time.Duration // latest samples, newest first
	mean      time.Duration    // moving average, with outliers cut to twice the limit
	smoothed  time.Duration    // moving average
	deviation time.Duration    // from it: a queue of steady senders has little, a noisy path much
	crowded   bool             // there is congestion
	crowdedAt time.Duration    // when the mean was last above half the slack

	aged     time.Duration // since when ageLeast is the least RTT
	ageLeast time.Duration

	silentAt time.Duration // latest timeout: what was sent before measures a stall; 0: none

	run      int // samples above the limit in a row
	runSince time.Duration
	runLeast time.Duration // in the second half of rebaseAfter

	sampledAt  time.Duration
	drainedAt  time.Duration
	drainEvery time.Duration
	drainSince time.Duration // 0: not draining
}

// sample takes in an RTT and says whether it speaks of congestion, on a path that
// deviates by as much as is tolerated.
func (d *delay) sample(a *Ack, tolerated time.Duration) bool {
	now, rtt := a.Now, a.RTT
	if d.silentAt != 0 && a.Sent < d.silentAt {
		return false
	}
	if d.mean == 0 {
		d.recent = [3]time.Duration{rtt, rtt, rtt}
		d.mean, d.smoothed, d.crowdedAt, d.aged, d.ageLeast = rtt, rtt, now, now, rtt
	}
	if rtt < d.base || d.base == 0 {
		d.discover(now, rtt)
	}
	d.ageLeast = min(d.ageLeast, rtt)
	if now-d.aged >= ageAfter {
		d.rebase(min(d.ageLeast, d.base+d.base/4))
		d.aged, d.ageLeast = now, rtt
	}
	d.recent[2], d.recent[1], d.recent[0] = d.recent[1], d.recent[0], rtt
	d.mean += (min(rtt, 2*d.limit) - d.mean) / 8
	d.smoothed += (rtt - d.smoothed) / 8
	d.deviation += ((rtt - d.smoothed).Abs() - d.deviation) / 8
	if d.mean > d.base+d.slack/2 {
		d.crowdedAt = now
	} else if d.crowded && d.quiet(now) >= quietSome {
		d.crowded = false
	}
	if d.drains {
		d.drain(a)
	}
	if rtt <= d.limit {
		d.run = 0
		return false
	}
	if d.run == 0 {
		d.runSince = now
	}
	d.run++
	lasted := now - d.runSince
	if lasted < rebaseAfter/2 {
		d.runLeast = rtt // the queue may still grow, or drain
	}
	d.runLeast = min(d.runLeast, rtt)
	if d.run >= rebaseSamples && lasted >= rebaseAfter {
		d.rebase(d.runLeast)
		d.run = 0
		return false
	}
	// After a stall, packets sent before its end still come in for a round trip,
	// and that is within the limit: twice as long is no stall.
	d.crowded = d.crowded || d.run > 1 && lasted/2 >= d.limit
	return d.crowded && rtt > d.limit+tolerated*d.deviation
}

// silent forgets congestion, since a timeout is as likely a stall.
func (d *delay) silent(now time.Duration) {
	d.silentAt, d.crowded, d.run = now, false, 0
}

// discover takes in a new least RTT.
func (d *delay) discover(now, rtt time.Duration) {
	d.aged, d.ageLeast = now, rtt
	if rtt < d.base/8*7 || d.base == 0 {
		d.drainedAt, d.drainEvery, d.drainSince = now, drainAfter, 0
	}
	d.rebase(rtt)
}

func (d *delay) drain(a *Ack) {
	now, rtt := a.Now, a.RTT
	if now-d.sampledAt > idleLimits*d.limit {
		d.drainedAt, d.drainSince = now, 0 // a pause makes room as well
	}
	d.sampledAt = now
	waited := now - d.drainedAt
	switch {
	case d.drainSince != 0:
		if a.Sent >= d.drainSince {
			d.drainedAt, d.drainEvery, d.drainSince = now, min(2*d.drainEvery, drainMost), 0
		}
	case waited >= d.drainEvery, waited >= d.drainEvery/2 && rtt < d.mean/8*7:
		d.drainSince = now
	}
}

// drained is the window, or the part of it that makes room.
func (d *delay) drained(window int) int {
	if d.drainSince != 0 {
		return window / drainBy
	}
	return window
}

// level is the delay at present, less spikes.
func (d *delay) level() time.Duration { return min(d.recent[0], d.recent[1], d.recent[2]) }

// quiet is for how long the path has had room to spare, in limits: round trips
// of a path that is just not congested.
func (d *delay) quiet(now time.Duration) int { return int(min((now-d.crowdedAt)/d.limit, quietLong)) }

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
