package core

import (
	"time"

	"github.com/peregrine-rpc/peregrine/wire"
)

// mtuLadder holds the datagram sizes that are probed, in the manner of RFC 8899
// but all at once: Ethernet and jumbo frames less IP and UDP headers, v6 and v4,
// with AWS's 9001 and common tunnels.
var mtuLadder = [...]int{1372, 1452, 1472, 4048, 8952, 8972, 16384, 32768, 65487, 65507}

const (
	// mtuTries is how often sizes are probed before the path is taken to be too
	// narrow, not just lossy, and mtuPause the time between.
	mtuTries = 3
	mtuPause = 100 * time.Millisecond
	// mtuRetry is after how long a path that fell short is probed again.
	mtuRetry = 10 * time.Minute
)

// probeMTU sends a padded ping of every size above the known one that both ends
// allow.
func (p *peer) probeMTU() {
	p.mtuRetryAt = 0
	if p.mtuTried++; p.mtuTried > mtuTries {
		p.mtuTried = 1
	}
	for _, size := range mtuLadder {
		if size > p.mtu && size < p.maxMTU {
			p.ping(size)
		}
	}
	if p.maxMTU > p.mtu {
		p.ping(p.maxMTU)
		p.mtuRetryAt = p.ep.now + mtuPause
		if p.mtuTried == mtuTries {
			p.mtuRetryAt = p.ep.now + mtuRetry
		}
	}
}

// mtuProbed notes that a datagram of size bytes arrived.
func (p *peer) mtuProbed(size int) {
	p.mtu = size
	if p.mtu == p.maxMTU {
		p.mtuRetryAt = 0
	}
}

// mtuSuspected goes back to the size that every path carries, since nothing
// passes any more.
func (p *peer) mtuSuspected() {
	if p.mtu > wire.MinHello {
		p.mtu, p.largeLost, p.aliveAt = wire.MinHello, 0, 0
		p.mtuTried, p.mtuRetryAt = 0, p.ep.now+mtuRetry
		p.ep.stats.MTUReductions++
	}
}
