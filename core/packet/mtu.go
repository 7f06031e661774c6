package packet

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

// pathMTU is how long the datagrams to a remote may be.
//
// Its probes delay no message: they count among neither packets nor bytes in flight,
// the pace does not wait for them, and no probe timeout does.
type pathMTU struct {
	mtu        int // datagram bytes known to pass
	reserved   int // of those, for header, and checksum or tag
	maxMTU     int // that both ends allow
	mtuTried   int // probes of the present round
	mtuRetryAt time.Duration
}

// MTU is how many bytes a datagram may have, as probed so far.
func (m *pathMTU) MTU() int { return m.mtu }

// Room is how many bytes of the layer's fit in a datagram.
func (m *pathMTU) Room() int { return m.mtu - m.reserved }

// probeMTU sends a padded ping of every size above the known one that both ends
// allow.
func (c *Conn) probeMTU() {
	c.mtuRetryAt = 0
	if c.mtuTried++; c.mtuTried > mtuTries {
		c.mtuTried = 1
	}
	for _, size := range mtuLadder {
		if size > c.mtu && size < c.maxMTU {
			c.ping(size)
		}
	}
	if c.maxMTU > c.mtu {
		c.ping(c.maxMTU)
		c.mtuRetryAt = c.e.now + mtuPause
		if c.mtuTried == mtuTries {
			c.mtuRetryAt = c.e.now + mtuRetry
		}
	}
}

// sound has the packet that was sent last, now, be a probe.
func (c *Conn) sound(now time.Duration) {
	c.settle(c.packet(c.next-1), packetSounding)
	if c.inFlight == 0 {
		c.lastSent = now
	}
}

// giveUp takes a probe as lost.
func (c *Conn) giveUp(probe *sentPacket) {
	probe.state = packetAcked
	c.e.stats.LostPackets++
	c.layer.Lost(probe.first, int(probe.count))
}

// giveUpSoundings takes as lost the probes that are older than all that is in flight.
func (c *Conn) giveUpSoundings() {
	for ; c.first < c.next && c.packet(c.first).state == packetSounding; c.advance() {
		c.giveUp(c.packet(c.first))
	}
}

// mtuProbed notes that a probe of size bytes arrived.
func (c *Conn) mtuProbed(size int) {
	if size <= c.mtu {
		return // a longer one has
	}
	c.mtu = size
	if c.mtu == c.maxMTU {
		c.mtuRetryAt = 0
	}
}

// mtuSuspected goes back to the size that every path carries, since nothing
// passes any more.
func (c *Conn) mtuSuspected() {
	if c.mtu > wire.MinHello {
		c.mtu, c.largeLost, c.aliveAt = wire.MinHello, 0, 0
		c.mtuTried, c.mtuRetryAt = 0, c.e.now+mtuRetry
		c.e.stats.MTUReductions++
	}
}
