package packet

import (
	"math/bits"
	"time"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Loss detection follows RFC 9002 (QUIC): a packet is lost once one sent
// sufficiently later was acknowledged; silence ends in a probe.
const (
	initialRTT = 10 * time.Millisecond
	// minReorder is by how many packets one must be overtaken to count as lost,
	// as long as the path has not shown to reorder more.
	minReorder = 3
	maxReorder = 256
	// maxDoublings bounds those of the probe timeout.
	maxDoublings = 6
	// maxPause bounds the pauses of a peer that are waited for, and pauseHalves is
	// how fast they are forgotten.
	maxPause    = 100 * time.Millisecond
	pauseHalves = time.Second
	// After so many probe timeouts a small ping goes along. Where it arrives,
	// the path is alive; and where so many large datagrams are lost after that,
	// and none arrives, it carries no large ones any more.
	blackholeProbes = 2
	blackholeLosses = 3
)

// rtt estimates the round trip as RFC 6298 does.
type rtt struct {
	smoothed, variance, least, latest time.Duration
}

func (r *rtt) sample(d time.Duration) {
	r.latest = d
	if r.smoothed == 0 {
		r.smoothed, r.variance, r.least = d, d/2, d
		return
	}
	r.least = min(r.least, d)
	r.variance += ((r.smoothed - d).Abs() - r.variance) / 4
	r.smoothed += (d - r.smoothed) / 8
}

// recovery is the sending half of a connection: what is in flight, and when it
// counts as lost.
type recovery struct {
	sent
	rtt
	forth      forth
	controller cc.Controller
	steered    bool // by a controller that reacts
	window     int  // as the controller last said, and the peer's own bound
	credits    int  // packets that the peer takes unacknowledged
	// receiveBound is how many bytes the peer's receive queue holds; 0: unknown.
	receiveBound int

	largestAcked uint64 // plus one; 0: none yet
	reorder      uint64 // packets, adapted to the path
	patience     uint8  // reordering in time tolerated: rtt/4 << patience
	lossAt       time.Duration
	lastSent     time.Duration
	aliveAt      time.Duration // when the first small packet left that broke a silence; 0: none
	largeLost    int           // packets above the base MTU lost since then, none having arrived
	probes       int           // probe timeouts since the last acknowledgement
	probing      bool          // the next packet goes whatever the window (RFC 9002, section 7.5)
	maxProbe     time.Duration // bounds the backoff, so that a path that heals is noticed
	ce           uint16        // last count of CE marks reported
	peerAckDelay time.Duration
	unasked      int // bytes sent since a packet asked for its acknowledgement
	// lostFloor is the lowest packet number declared lost that may still turn
	// out to be only late; 0: none.
	lostFloor uint64
	pause     time.Duration // that the peer was seen to make, not being scheduled
	pausedAt  time.Duration
}

// mayProceed says whether one more packet may be put in flight.
func (r *recovery) mayProceed() bool {
	return r.inFlight < r.credits && (r.bytes < r.window || r.inFlight == 0 || r.probing) && !r.full()
}

// mayFollow is how many packets of up to size bytes may be put in flight one behind
// the other, most at most, where one may: a half, a quarter and so on of most.
func (r *recovery) mayFollow(most, size int) int {
	most = min(most, r.credits-r.inFlight, maxPackets-int(r.next-r.first))
	for most > 1 && (r.bytes+(most-1)*size >= r.window || most*size > (MaxEntries-int(r.nextEntry-r.firstEntry))*wire.MessageHeaderSize) {
		most /= 2
	}
	return most
}

// silence is how long an answer that is not delayed may take.
func (r *rtt) silence() time.Duration {
	smoothed, variance := r.smoothed, r.variance
	if smoothed == 0 {
		smoothed, variance = initialRTT, initialRTT/2
	}
	return smoothed + max(4*variance, granularity)
}

// probeTimeout is how long silence is borne.
func (r *recovery) probeTimeout() time.Duration {
	t := r.silence() + r.peerAckDelay
	if r.pause != 0 {
		t = max(t, r.pauseAsOf(r.lastSent))
	}
	return max(t, min(t<<min(r.probes, maxDoublings), r.maxProbe))
}

// deadline is when the loss timer must fire next; ok is false if nothing is in
// flight.
func (r *recovery) deadline() (at time.Duration, ok bool) {
	if r.inFlight == 0 {
		return 0, false
	}
	if r.lossAt != 0 {
		return r.lossAt, true
	}
	return r.lastSent + r.probeTimeout(), true
}

// oldest is the lowest packet number whose record still means something: in
// flight, or declared lost of late.
func (r *recovery) oldest() uint64 {
	if r.lostFloor == 0 {
		return r.first
	}
	if r.lostFloor+uint64(len(r.packets)) < r.next {
		r.lostFloor = 0
		return r.first
	}
	return min(r.first, r.lostFloor)
}

// acknowledged takes in an acknowledgement block whose largest packet was sent, from
// a datagram that waited so long on this host.
func (c *Conn) acknowledged(largest uint64, a *wire.AckBlock, waited time.Duration) {
	now := c.e.now
	bytes := c.bytes
	t := tidings{largest: largest}
	if !c.allArrived(a.Bitmap[0], &t) {
		c.namedArrived(a, &t)
	}
	if c.state != Connected {
		return // the layer closed the endpoint
	}
	packets, sent, probed := t.packets, t.sent, t.probed
	if packets == 0 {
		return
	}
	c.largestAcked = max(c.largestAcked, largest+1)
	if c.probes >= blackholeProbes && !t.large && c.aliveAt == 0 {
		c.aliveAt = c.packet(largest).at
	}
	c.probes = 0
	var trip, network, both time.Duration // network without what waited on the way back, and with it
	var clock uint32
	if sent != 0 && a.Delay < wire.MaxAckDelay {
		// Recovery waits for hosts as well as for the network, of which it is told
		// only how long the peer may take to acknowledge (RFC 9002, section 5.3).
		delay := time.Duration(a.Delay) * time.Microsecond
		trip = now - sent
		if known := min(delay, c.peerAckDelay); trip-known >= c.least {
			trip -= known
		}
		if probed != 0 {
			c.late(trip, now-probed)
		}
		if trip > 0 {
			c.sample(trip)
		}
		both = max(0, now-sent-waited-delay)
		network = both
		if c.forth.told {
			network, clock = c.forth.less(now, sent, network), c.forth.arrival
		}
	}
	bytes -= c.bytes
	c.advance()
	c.detectLosses()
	if c.largeLost >= blackholeLosses {
		c.mtuSuspected()
	}
	if c.steered {
		marked := max(0, int(int16(a.CE-c.ce))) // negative: a later one overtook it
		c.ce += uint16(marked)
		c.controller.Acked(cc.Ack{Now: now, Packets: packets, Bytes: bytes, RTT: network, Trip: both, Sent: sent, Clock: clock, CE: marked, InFlight: c.bytes, Datagram: c.mtu})
		c.refreshWindow()
	}
	if trip > 0 && c.measuring {
		c.measuring = false
		c.layer.Measured(trip)
	}
}

// tidings are what an acknowledgement block tells that is news.
type tidings struct {
	largest uint64
	packets int
	large   bool          // one of them was larger than every path carries
	sent    time.Duration // when the largest was, if it was not acknowledged before
	probed  time.Duration // of the first that was sent again in silence, and in vain
}

// namedArrived takes in that the packets have arrived that a block names.
func (c *Conn) namedArrived(a *wire.AckBlock, t *tidings) {
	floor, largest := c.oldest(), t.largest
	for i := range uint64(a.Words) {
		if largest < floor+64*i {
			break
		}
		last := largest - 64*i
		word := a.Bitmap[i]
		if span := last - floor; span < 63 {
			word &= ^uint64(0) << (63 - span)
		}
		for n := last; word != 0; {
			lead := bits.LeadingZeros64(word)
			word <<= lead & 63
			run := bits.LeadingZeros64(^word)
			n -= uint64(lead + run)
			if c.arrived(n+1, n+uint64(run), t); c.state != Connected {
				return
			}
			if run == 64 {
				break
			}
			word <<= run & 63
		}
	}
}

// arrived takes in that packets [from, to] have arrived, the latest first, and tells the
// layer of rows of them at once.
func (c *Conn) arrived(from, to uint64, t *tidings) {
	for n := to; n >= from; {
		p := c.packet(n)
		if p.state != packetInFlight {
			c.arrivedOddly(n, p, t)
			n--
			if c.state != Connected {
				return
			}
			continue
		}
		if n == t.largest {
			t.sent = p.at
		}
		row, first, entries, bytes, longest := n, uint32(0), 0, 0, uint32(0)
		for {
			p.state = packetAcked
			first = p.first
			entries += int(p.count)
			bytes += int(p.size)
			longest = max(longest, p.size)
			if n--; n < from {
				break
			}
			if p = c.packet(n); p.state != packetInFlight {
				break
			}
		}
		t.packets += int(row - n)
		c.inFlight -= int(row - n)
		c.bytes -= bytes
		if longest > wire.MinHello {
			c.largeArrived(t)
		}
		if c.layer.Arrived(first, entries); c.state != Connected {
			return
		}
	}
}

// arrivedOddly takes in that packet n has arrived, which is not in flight.
func (c *Conn) arrivedOddly(n uint64, p *sentPacket, t *tidings) {
	if int(p.size) > wire.MinHello {
		c.largeArrived(t)
	}
	switch p.state {
	case packetSounding:
		if n == t.largest {
			t.sent = p.at
		}
		p.state = packetAcked
		t.packets++
		c.mtuProbed(int(p.size))
		c.layer.Arrived(p.first, int(p.count))
	case packetLost:
		c.spurious(n, t.largest, p)
	case packetProbed:
		p.state = packetAcked
		t.probed = p.at
		c.e.stats.SpuriousRetransmits++
		c.controller.Spurious(c.e.now, int(p.size))
	}
}

func (c *Conn) largeArrived(t *tidings) {
	c.largeLost, c.aliveAt = 0, 0
	t.large = true
}

// late notes that a packet was sent again in silence although it had arrived. If
// the probe, too, took longer than the network does, the peer was not scheduled,
// and did not lose the acknowledgement: the next such pause is waited for.
func (c *Conn) late(probe, first time.Duration) {
	if probe > c.smoothed+max(4*c.variance, granularity/2) {
		c.pause, c.pausedAt = min(max(c.pauseAsOf(c.e.now), first*5/4), maxPause), c.e.now
	}
}

// pauseAsOf is what is still remembered at a time of the peer's pauses.
func (r *recovery) pauseAsOf(at time.Duration) time.Duration {
	return r.pause >> max(0, (at-r.pausedAt)/pauseHalves)
}

// spurious notes that a packet declared lost was only late: the path reorders
// more than was thought.
func (c *Conn) spurious(n, largest uint64, packet *sentPacket) {
	packet.state = packetAcked
	c.e.stats.SpuriousRetransmits++
	c.controller.Spurious(c.e.now, int(packet.size))
	if distance := largest - n + 1; distance > c.reorder {
		c.reorder = min(distance, maxReorder)
	} else if c.patience < 4 {
		c.patience++
	}
}

// detectLosses declares lost what later packets have overtaken by too much,
// and sets the time at which the rest will be.
func (c *Conn) detectLosses() {
	c.lossAt = 0
	if c.first >= c.largestAcked {
		return // no packet has been overtaken
	}
	now, largest := c.e.now, c.largestAcked-1
	basis := max(c.smoothed, c.latest)
	tolerance := basis + max(basis/4<<c.patience, granularity/4)
	lost, lastSent := 0, time.Duration(0)
	for n := c.first; n < largest && n < c.next; n++ {
		packet := c.packet(n)
		if packet.state > packetSounding {
			continue
		}
		if largest-n >= c.reorder || packet.at+tolerance <= now {
			if packet.state == packetInFlight {
				lost += int(packet.size)
				lastSent = max(lastSent, packet.at)
			}
			c.lose(n, packet, packetLost)
		} else if at := packet.at + tolerance; c.lossAt == 0 || at < c.lossAt {
			c.lossAt = at
		}
	}
	c.advance()
	if lost > 0 {
		c.controller.Lost(cc.Loss{Now: now, Bytes: lost, Sent: lastSent, InFlight: c.bytes})
		c.refreshWindow()
	}
}

// lose takes packet n as lost, or as sent again by a probe.
func (c *Conn) lose(n uint64, packet *sentPacket, as packetState) {
	if packet.state == packetSounding {
		c.giveUp(packet)
		return
	}
	c.settle(packet, as)
	if size := int(packet.size); size > wire.MinHello && size <= c.mtu && c.aliveAt != 0 && packet.at >= c.aliveAt {
		c.largeLost++
	}
	if c.lostFloor == 0 {
		c.lostFloor = n
	}
	c.e.stats.LostPackets++
	if c.e.cfg.Lost != nil {
		c.e.cfg.Lost(packet.at, as == packetProbed)
	}
	c.layer.Lost(packet.first, int(packet.count))
	if as == packetLost && len(c.packets) < lateSpan {
		c.growPackets(lateSpan)
	}
}

// lossTimer acts on the deadline of recovery.
func (c *Conn) lossTimer() {
	at, ok := c.recovery.deadline()
	if !ok || at > c.e.now {
		return
	}
	if c.lossAt != 0 {
		c.detectLosses()
		return
	}
	c.giveUpSoundings()
	c.probes++
	c.e.stats.ProbeTimeouts++
	if c.measuring {
		c.e.stats.PingsRepeated++
	}
	c.controller.TimedOut(c.e.now)
	c.refreshWindow()
	c.probe()
}

// probe sends something that the peer has to acknowledge at once: the oldest
// packet's content again, or a ping.
func (c *Conn) probe() {
	oldest := c.packet(c.first)
	c.lose(c.first, oldest, packetProbed)
	c.advance()
	c.lastSent = c.e.now
	c.ackNow, c.probing = true, true
	if c.probes >= blackholeProbes || c.layer.Next() == Nothing {
		c.ping(c.reserved + wire.MessageHeaderSize) // alone: passes also where large datagrams no longer do
	}
}
