package cc

import (
	"errors"
	"math"
	"time"
)

const (
	// cubicLeast is the least window, in datagrams (RFC 9438, section 4.6; RFC
	// 9002, section 7.2, kMinimumWindow).
	cubicLeast = 2
	// A pause of restartAfter or four round trips, if these are longer, has made
	// the window stale: Linux's least retransmission timeout (TCP_RTO_MIN) in place
	// of RFC 5681's timeout (section 4.1), which this end does not keep.
	restartAfter = 200 * time.Millisecond
	restartTrips = 4
	// So much of the window is the threshold of slow start after that: Linux's
	// tcp_current_ssthresh.
	restartKeep = 3. / 4
	// By so much the pace is faster than a window each round trip: as Linux has it
	// (tcp_pacing_ss_ratio, tcp_pacing_ca_ratio).
	paceStart, paceAvoid = 2, 1.2
	// A loss while fewer than strayBacklog datagrams of this sender wait in queues is
	// taken to be by chance, and leaves strayKeep of the window: TCP Veno's β and its
	// factor (Fu and Liew, IEEE JSAC 21, 2003; as Linux has them).
	strayBacklog, strayKeep = 3, 4. / 5
)

// CubicConfig holds the parameters of "cubic". The names are RFC 9438's.
type CubicConfig struct {
	// C is how steep the curve is, in datagrams per second cubed.
	C float64 `yaml:"c"`
	// Beta is what remains of the window after congestion; below 1.
	Beta float64 `yaml:"beta"`
	// FastConvergence makes room for flows that come.
	FastConvergence bool `yaml:"fast_convergence"`
	WindowConfig    `yaml:",inline"`
}

// defaultCubic has RFC 9438's C and β, and the initial window of TCP and QUIC
// (RFC 6928; RFC 9002, section 7.2). The largest is a second of 128 Mbit/s, or
// ten milliseconds of 13 Gbit/s: the peer's credits are usually less.
func defaultCubic() CubicConfig {
	return CubicConfig{
		C: 0.4, Beta: 0.7, FastConvergence: true,
		WindowConfig: WindowConfig{InitialWindow: 14720, MaxWindow: 16 << 20},
	}
}

// Validate reports the key that is out of range.
func (c *CubicConfig) Validate() error {
	return errors.Join(
		checkRange("c", c.C, 0.01, 10),
		checkRange("beta", c.Beta, 0.3, 0.9),
		c.WindowConfig.validate(),
	)
}

func init() {
	Register(Algorithm{
		Name:   "cubic",
		Config: func() any { c := defaultCubic(); return &c },
		New:    configured(newCubic),
	})
}

// cubic is CUBIC (RFC 9438), which shares a bottleneck with TCP: with HyStart++
// (RFC 9406) out of slow start, and proportional rate reduction (RFC 9937) in
// recovery. Every loss counts, once per round trip, and so does a mark as RFC
// 3168 has it: with the same β, without ABE (RFC 8511), since the TCP beside it
// has none either. What turns out to have been late only, or sent again in vain,
// is undone (RFC 9438, section 4.9).
//
// Where it differs: the first timeout of a silence counts as one loss, as a tail
// loss probe's does (RFC 8985, section 7.4.2), and those after it as TCP's
// timeouts.
//
// Until there was congestion, and while the application does not fill the
// window, nothing is paced.
type cubic struct {
	flow
	cubicState
	cfg     *CubicConfig
	leaving hystart
	prr     reduction

	base     time.Duration // RTT without queues; 0: not known
	smoothed time.Duration // RTT; 0: none
	ackedAt  time.Duration // latest acknowledgement
	flying   int           // bytes
	losing   bool          // something was lost since the latest acknowledgement
	cutAt    time.Duration // what was sent until then tells of congestion that was answered; <0: never

	// What was before the latest cut, which is taken back once so many bytes turn
	// out to have arrived; 0: cannot be.
	before cubicState
	inVain int
}

// cubicState is what a cut changes beside the window.
type cubicState struct {
	cwnd      float64
	threshold float64 // of slow start; +Inf: there was no congestion yet
	curve     curve
}

var _ Controller = (*cubic)(nil)

func newCubic(c CubicConfig) Factory {
	return func(p Path) Controller {
		u := &cubic{cfg: &c, flow: newFlow(p, c.WindowConfig), cutAt: -1}
		u.least = cubicLeast
		u.threshold = math.Inf(1)
		return u
	}
}

// Window implements Controller.
func (u *cubic) Window() int {
	if u.prr.recovering {
		return min(max(u.prr.window, u.datagram), int(u.most))
	}
	return u.flow.Window()
}

// Rate implements Controller.
func (u *cubic) Rate() uint64 {
	if !u.congested() || u.smoothed == 0 || !u.limited() {
		return 0
	}
	pace := paceAvoid
	if u.window < u.threshold {
		pace = paceStart
	}
	return max(1, uint64(min(pace*u.window/u.smoothed.Seconds(), 1e12)))
}

// congested says whether there was congestion yet.
func (u *cubic) congested() bool { return !math.IsInf(u.threshold, 1) }

// Sent implements Controller.
func (u *cubic) Sent(now time.Duration, bytes, inFlight int) {
	u.flow.Sent(now, bytes, inFlight)
	bytes = bounded(bytes)
	u.flying = bounded(inFlight)
	u.prr.sent(bytes)
	if u.flying <= bytes && u.ackedAt != 0 && now-u.ackedAt > max(restartAfter, restartTrips*u.smoothed) {
		u.restart(now)
	}
}

// restart begins anew after a pause, up to where the window was.
func (u *cubic) restart(now time.Duration) {
	u.ackedAt = now
	if u.congested() {
		u.threshold = max(u.threshold, restartKeep*u.window)
	}
	u.resize(min(u.window, float64(u.cfg.InitialWindow)))
	u.curve.stop()
	u.leaving = hystart{}
}

// Acked implements Controller.
func (u *cubic) Acked(a Ack) {
	ended := u.acked(&a)
	bytes := bounded(a.Bytes)
	limited := u.used()+float64(u.datagram) > u.window
	u.flying = bounded(a.InFlight)
	if a.RTT > 0 {
		if u.smoothed == 0 {
			u.smoothed = a.RTT
		}
		u.smoothed += (a.RTT - u.smoothed) / 8
	}
	news := a.Sent > u.cutAt
	switch {
	case a.CE > 0 && news:
		u.cut(a.Now, u.flying+bytes, u.cfg.Beta)
		u.inVain = 0 // a mark is never in vain
	case u.prr.recovering && news && a.Now > u.cutAt:
		u.prr.recovering = false
	}
	switch {
	case u.prr.recovering:
		u.prr.acked(a.Now == u.cutAt, bytes, u.flying, int(u.window), u.datagram, !u.losing)
	case u.window < u.threshold:
		u.slowStart(&a, bytes)
	case limited:
		u.avoid(a.Now, bytes)
	default:
		u.curve.skip(a.Now - u.ackedAt) // RFC 9438, section 5.8
	}
	u.losing, u.ackedAt = false, a.Now
	if ended {
		least := u.roundLeast
		u.endRound(a.Now, a.InFlight)
		if u.window < u.threshold && u.leaving.round(least) {
			u.threshold = u.window
		}
	}
}

// slowStart grows by what arrived, or less of it where delay grows (RFC 9406). An
// acknowledgement stands for up to a quarter of the window, so RFC 9406's L, which
// bounds what one adds, is infinite.
func (u *cubic) slowStart(a *Ack, bytes int) {
	if !u.congested() && a.RTT > 0 {
		u.leaving.sample(u.roundLeast)
	}
	if u.limited() {
		u.resize(min(u.window+u.leaving.growth(bytes), u.threshold))
	}
}

// avoid is congestion avoidance: RFC 9438, sections 4.2 to 4.5.
func (u *cubic) avoid(now time.Duration, bytes int) {
	datagram := float64(u.datagram)
	if !u.curve.running {
		u.curve.start(now, u.window/datagram, u.cfg.C)
	}
	alpha := 3 * (1 - u.cfg.Beta) / (1 + u.cfg.Beta)
	next := u.curve.next(now, u.smoothed, u.window/datagram, float64(bytes)/datagram, u.cfg.C, alpha)
	u.resize(max(u.window, next*datagram))
}

// Lost implements Controller.
func (u *cubic) Lost(l Loss) {
	bytes := bounded(l.Bytes)
	if bytes == 0 {
		return
	}
	u.losing = true
	u.flying = bounded(l.InFlight)
	if l.Sent > u.cutAt {
		keep := u.cfg.Beta
		if u.stray() {
			keep = max(keep, strayKeep)
		}
		u.cut(l.Now, u.flying+bytes, keep)
	} else {
		u.prr.window = min(u.prr.window, u.flying+u.datagram) // to be sent as acknowledgements come
	}
	if u.inVain > 0 {
		u.inVain = bounded(u.inVain + bytes)
	}
}

// Spurious implements Controller.
func (u *cubic) Spurious(_ time.Duration, bytes int) {
	if u.inVain == 0 {
		return
	}
	// One is for the cut itself, whose reason a timeout does not know.
	if u.inVain -= bounded(bytes); u.inVain > 1 {
		return
	}
	u.inVain = 0
	u.prr.recovering = false
	if was := u.before; was.cwnd > u.window {
		u.cubicState = was
		u.resize(was.cwnd)
	}
}

// TimedOut implements Controller.
func (u *cubic) TimedOut(now time.Duration) {
	u.timeouts = min(u.timeouts+1, 2)
	if u.timeouts == 1 && !u.prr.recovering {
		u.cut(now, u.flying, u.cfg.Beta)
	}
	if u.timeouts > 1 { // RFC 5681, section 3.1; RFC 9002, section 7.6
		u.prr.recovering, u.cutAt = false, now
		u.resize(0)
		u.curve.stop()
	}
}

// stray says whether a loss is by chance, since next to nothing waits in queues.
func (u *cubic) stray() bool {
	least := u.roundLeast
	if least == 0 || u.lastLeast != 0 && u.lastLeast < least {
		least = u.lastLeast
	}
	return u.base != 0 && least != 0 &&
		u.window*float64(least-u.base) < strayBacklog*float64(u.datagram)*float64(least)
}

// cut answers to congestion that was met with so many bytes in flight, lost ones
// and the newest acknowledged ones included, and keeps a part of the window: RFC
// 9438, sections 4.6 and 4.7.
func (u *cubic) cut(now time.Duration, inFlight int, keep float64) {
	u.before = u.cubicState
	u.before.cwnd = u.window
	u.inVain = 1
	u.cutAt = now
	u.starting = false
	u.curve.peak(u.window/float64(u.datagram), u.cfg.Beta, u.cfg.FastConvergence)
	// The window may be larger than what was in flight, which alone has shown what
	// the path carries.
	flight := u.window
	if used := u.used(); used > 0 {
		flight = min(flight, used)
	}
	u.resize(flight * keep)
	u.threshold = u.window
	u.prr.enter(max(inFlight, 1), u.flying+u.datagram)
}
