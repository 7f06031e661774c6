package cc

import "time"

const (
	// A run of rebaseSamples or more above the limit, for rebaseAfter, is no
	// queue: whoever caused one would have made room by then. CoDel's interval of
	// 100 ms (RFC 8289, section 4.3; from memory, unchecked), which is thousands of
	// a datacentre's round trips.
	rebaseSamples = 8
	rebaseAfter   = 100 * time.Millisecond
	// A sample has to exceed the limit by noise deviations, or who has less than a
	// datagram in flight by deafNoise: a queue is more even than a noisy path, and
	// there sending less does not help. Ours: without, an incast of 1,000 had 4 %
	// less goodput (peregrine sim, 25 Gbit/s).
	noise, deafNoise = 2, 4
)

// delay tells a queue in the network from noise at its ends. A wake-up, a busy
// core or a stall of milliseconds delays some samples, or one burst of them; a
// queue delays all. So congestion begins when no sample was below the limit for
// a while, as in CoDel (RFC 8289, section 3.2). It ends when the path has been
// quiet; until then each sample counts.
type delay struct {
	baseRTT

	recent    [3]time.Duration // latest samples, newest first
	mean      time.Duration    // moving average, with outliers cut to twice the limit; 0: no sample yet
	smoothed  time.Duration    // moving average
	deviation time.Duration    // from it: a queue of steady senders has little, a noisy path much
	back      time.Duration    // moving average of what acknowledgements waited for
	crowded   bool             // there is congestion
	crowdedAt time.Duration    // when the mean was last above half the slack
	stays     bool             // what stands above the limit for long is others' queue, and no longer route

	silentAt time.Duration // latest timeout: what was sent before measures a stall

	run      int // samples above the limit in a row
	runSince time.Duration
	runLeast time.Duration // in the second half of rebaseAfter
}

// sample takes in an RTT and says whether it is above the limit, and there is
// congestion. It may still be noise: see exceeds.
func (d *delay) sample(a *Ack) bool {
	now, rtt := a.Now, a.RTT
	if a.Sent < d.silentAt {
		return false
	}
	if d.mean == 0 {
		d.recent = [3]time.Duration{rtt, rtt, rtt}
		d.mean, d.smoothed, d.crowdedAt = rtt, rtt, now
	}
	d.learn(now, rtt)
	d.recent[2], d.recent[1], d.recent[0] = d.recent[1], d.recent[0], rtt
	d.mean += (min(rtt, 2*d.limit) - d.mean) / 8
	d.smoothed += (rtt - d.smoothed) / 8
	d.deviation += ((rtt - d.smoothed).Abs() - d.deviation) / 8
	d.back += (a.Trip - rtt - d.back) / 8
	if d.mean > d.base+d.slack/2 {
		d.crowdedAt = now
	} else if d.crowded && d.quiet(now, quietSome) {
		d.crowded = false
	}
	if d.drains {
		d.drain(a, d.mean, d.far())
	}
	if rtt <= d.limit {
		d.run = 0
		return false
	}
	return d.above(now, rtt)
}

// above takes in a sample above the limit.
func (d *delay) above(now, rtt time.Duration) bool {
	if d.run == 0 {
		d.runSince = now
	}
	d.run++
	lasted := now - d.runSince
	if lasted < rebaseAfter/2 {
		d.runLeast = rtt // the queue may still grow, or drain
	}
	d.runLeast = min(d.runLeast, rtt)
	if !d.stays && d.run >= rebaseSamples && lasted >= rebaseAfter {
		d.rebase(d.runLeast)
		d.run = 0
		return false
	}
	// After a stall, packets sent before its end still come in for a round trip,
	// and that is within the limit: twice as long is no stall.
	d.crowded = d.crowded || d.run > 1 && lasted/2 >= d.limit
	return d.crowded
}

// exceeds says whether a sample stands out of so many deviations.
func (d *delay) exceeds(rtt, deviations time.Duration) bool {
	return rtt > d.limit+deviations*d.deviation
}

// silent forgets congestion, since a timeout is as likely a stall.
func (d *delay) silent(now time.Duration) {
	d.silentAt, d.crowded, d.run = now, false, 0
}

// level is the delay at present, less spikes.
func (d *delay) level() time.Duration { return min(d.recent[0], d.recent[1], d.recent[2]) }

// quiet says whether the path has had room to spare for so many limits: round
// trips of a path that is just not congested.
func (d *delay) quiet(now, limits time.Duration) bool { return now-d.crowdedAt >= limits*d.limit }

// far says whether acknowledgements wait for long on their way back.
func (d *delay) far() bool { return d.back > paceTrips*d.slack }
