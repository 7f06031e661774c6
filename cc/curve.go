package cc

import (
	"math"
	"time"
)

// curve is the window of CUBIC's congestion avoidance: RFC 9438, section 4. It
// counts in datagrams, as the RFC does in segments. Its names there are behind
// those here.
type curve struct {
	running bool
	epoch   time.Duration // t_epoch
	most    float64       // W_max
	k       float64       // K, in seconds
	prior   float64       // cwnd_prior
	reno    float64       // W_est
}

// peak notes the window at which there was congestion (section 4.6), and takes
// less than that for the next peak if it was lower than the last: someone came
// (section 4.7).
func (c *curve) peak(window, beta float64, fast bool) {
	c.prior = window
	if fast && window < c.most {
		window *= (1 + beta) / 2
	}
	c.most = window
	c.stop()
}

// stop ends congestion avoidance.
func (c *curve) stop() { c.running = false }

// start begins it.
func (c *curve) start(now time.Duration, window, steep float64) {
	c.running, c.epoch = true, now
	c.reno = window
	c.most = max(c.most, window)
	c.k = math.Cbrt((c.most - window) / steep)
}

// skip leaves out time in which the window was not used (section 5.8).
func (c *curve) skip(d time.Duration) { c.epoch += max(d, 0) }

// at is W_cubic.
func (c *curve) at(t time.Duration, steep float64) float64 {
	x := t.Seconds() - c.k
	return steep*x*x*x + c.most
}

// next is the window after so many datagrams of one were acknowledged.
func (c *curve) next(now, rtt time.Duration, window, acked, steep, alpha float64) float64 {
	if c.reno >= c.prior {
		alpha = 1
	}
	c.reno += alpha * acked / window
	t := max(now-c.epoch, 0)
	if c.at(t, steep) < c.reno {
		return c.reno
	}
	target := min(max(c.at(t+rtt, steep), window), 1.5*window)
	return window + (target-window)*min(acked/window, 1)
}
