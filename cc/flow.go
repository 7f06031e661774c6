package cc

import "time"

const (
	// maxRTT is the longest RTT believed: a longer one is of a host that slept.
	maxRTT = time.Minute
	// lossThreshold is the fraction of bytes lost in a round trip above which
	// loss means congestion, as in BBR (draft-ietf-ccwg-bbr, BBRLossThresh). It
	// deviates from RFC 9002, where every loss does: datacentre paths lose to
	// noise, too, and a queue that overflows shows in delay or marks.
	lossThreshold = 0.02
	// A verdict on loss takes so many lost datagrams, of at most so many sent.
	// Ours: where 1 % is lost by chance, 4 of 128 are in one case of 24.
	lossLeast, lossMost = 4, 128
	// lossFactor is what remains after it: BBR's beta (BBRBeta), and CUBIC's (RFC
	// 9438, section 4.6; from memory, unchecked).
	lossFactor = 0.7
	// lossFloor is ours, in datagrams: enough for later ones to show that an
	// earlier one was lost.
	lossFloor = 8
	// After quietSome quiet round trips a sender speeds up by quietGain in each,
	// in place of TIMELY's hyperactive increase of five steps after five round
	// trips (section 4.3 of the paper, N and HAI; the section from memory,
	// unchecked), and after quietLong as in slow start. Ours: a quarter overshoots
	// by less than the target delay on paths of up to four times that.
	quietSome, quietLong = 2, 8
	quietGain            = 1.25
	// A timeout leaves this part of the window, and one in a row with others that
	// part. RFC 9002, section 7.6, has two datagrams left after several in a row.
	firstTimeout, laterTimeout = 1. / 2, 1. / 8
)

// flow is what all controllers share: the window, round trips, slow start, and
// the answer to losses and timeouts. It counts in bytes.
type flow struct {
	window   float64
	least    float64 // in datagrams
	most     float64
	datagram int
	// starting doubles the window in each round trip.
	starting bool

	peak, lastPeak int           // most bytes in flight in this round trip, and the last
	roundStart     time.Duration // a round trip ends with news of a packet sent since it began
	roundLeast     time.Duration // RTT; 0: none
	lastLeast      time.Duration
	delivered      int // in this round trip

	tried, lost int // bytes, towards the verdict on loss
	timeouts    int // since the last acknowledgement
}

func newFlow(p Path, c WindowConfig) flow {
	datagram := max(p.Datagram, 1)
	return flow{
		window:   float64(max(min(c.InitialWindow, c.MaxWindow), datagram)),
		least:    1,
		most:     float64(max(c.MaxWindow, datagram)),
		datagram: datagram,
		starting: true,
	}
}

// Window implements Controller.
func (f *flow) Window() int { return max(int(f.window), f.datagram) }

// Sent implements Controller.
func (f *flow) Sent(_ time.Duration, _, inFlight int) { f.peak = max(f.peak, inFlight) }

// Lost implements Controller.
func (f *flow) Lost(l Loss) {
	bytes := bounded(l.Bytes)
	f.lost += bytes
	f.tried += bytes
}

// Spurious implements Controller.
func (f *flow) Spurious(time.Duration, int) {}

// TimedOut implements Controller. The first timeout in a row may be a stall or
// the loss of a message's tail, and halves the window; silence after that is
// either end's or the network's collapse. In both cases slow start finds what
// is there. Of windows below a datagram only delay decides.
func (f *flow) TimedOut(time.Duration) {
	f.timeouts++
	part := firstTimeout
	if f.timeouts > 1 {
		part = laterTimeout
	}
	if f.window >= float64(f.datagram) {
		f.starting = true
		f.resize(max(f.window*part, float64(f.datagram)))
	}
}

// acked takes in an acknowledgement and says whether a round trip ended.
func (f *flow) acked(a *Ack) bool {
	if a.Datagram != f.datagram && a.Datagram > 0 {
		f.datagram = min(a.Datagram, 1<<16)
		f.most = max(f.most, float64(f.datagram))
	}
	f.timeouts = 0
	a.RTT = min(a.RTT, maxRTT)
	a.Trip = min(max(a.Trip, a.RTT), maxRTT)
	f.delivered += bounded(a.Bytes)
	if a.RTT <= 0 {
		return false
	}
	if f.roundLeast == 0 || a.RTT < f.roundLeast {
		f.roundLeast = a.RTT
	}
	return a.Sent >= f.roundStart
}

// endRound begins a new round trip, and says whether the last one lost too much.
func (f *flow) endRound(now time.Duration, inFlight int) (lossy bool) {
	f.tried += f.delivered
	if f.lost >= lossLeast*f.datagram && float64(f.lost) > lossThreshold*float64(f.tried) {
		lossy = true
		f.tried, f.lost = 0, 0
	} else if f.tried >= lossMost*f.datagram {
		f.tried, f.lost = 0, 0
	}
	f.roundStart, f.lastLeast, f.roundLeast, f.delivered = now, f.roundLeast, 0, 0
	f.lastPeak, f.peak = f.peak, max(inFlight, 0)
	return lossy
}

// used is how much was in flight of late.
func (f *flow) used() float64 { return float64(max(f.peak, f.lastPeak)) }

// start grows the window as slow start does, if this is it.
func (f *flow) start(bytes int) {
	if f.starting && f.limited() {
		f.resize(f.window + float64(bounded(bytes)))
	}
}

// limited says whether the window, and not the application, held the sender.
func (f *flow) limited() bool { return 2*f.used() >= f.window }

// reach is the window, or what of it was used and some more: the rest says
// nothing of the path.
func (f *flow) reach() float64 {
	return min(f.window, max(2*f.used(), float64(f.datagram)))
}

// recede answers to too much loss. Below lossFloor only delay tells how far: a
// wire that loses much does not lose less for it, and recovery takes packets in
// flight.
func (f *flow) recede() {
	f.starting = false
	f.resize(max(f.reach()*lossFactor, min(f.window, float64(lossFloor*f.datagram))))
}

// resize sets the window, within its bounds.
func (f *flow) resize(to float64) { f.window = min(max(to, f.least*float64(f.datagram)), f.most) }

// bounded keeps counts that cannot be true from doing harm.
func bounded(bytes int) int { return min(max(bytes, 0), 1<<30) }
