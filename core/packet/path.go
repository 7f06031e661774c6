package packet

import (
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// A server follows its client to another address, since a NAT forgets and hosts
// move, in the manner of RFC 9000, sections 8.2 and 9, but more warily, for it
// cannot tell its client from one who saw a datagram. What comes from elsewhere
// is not taken in. Both addresses are challenged, and the server moves only if the
// new one answers, and nothing comes from the known one for a while. A server
// that moves is another server.

// pathCheck is about a client's new address, which has been challenged.
type pathCheck struct {
	addr      netip.AddrPort // invalid: there is none
	local     netip.Addr     // of this host, that it answered to
	challenge [wire.PathDataSize]byte
	at        time.Duration // of the last challenge to it
	answered  bool
	again     time.Duration // when the known address has been silent for one more wait
	silences  int           // such waits
}

const (
	// maxAmplified is how many times as long as what it answers a challenge may be.
	maxAmplified = 3
	// The known address is given up after so many waits of a round trip or, since a
	// host may be busy, of so long, without a word. It is challenged in each.
	maxSilences = 2
	minSilence  = 10 * time.Millisecond
)

// elsewhere takes note that a datagram of the client came from another address
// than the known one. If nothing newer has come from there, both are challenged,
// as often as once a round trip.
func (c *Conn) elsewhere(h *wire.Header, rx *transport.RxPacket) {
	newest := h.Type == wire.Data && expand(h.Number, c.in.next) >= c.in.next ||
		h.Type == wire.Ack && h.Acks.Words > 0 && expand(h.Acks.Largest, c.next)+1 >= c.largestAcked
	if !newest {
		return
	}
	e, check := c.e, c.check
	switch {
	case check == nil:
		check = &pathCheck{}
		c.check = check
	case e.now-check.at < max(c.smoothed, granularity):
		return
	case check.answered && check.addr != rx.From:
		return // one at a time
	}
	if check.addr != rx.From {
		*check = pathCheck{addr: rx.From, at: e.now}
		e.random.Read(check.challenge[:])
		c.challengeKnown()
	}
	check.at = e.now
	c.challengeAt(rx)
	c.schedule()
}

// challengeAt asks whether the client is where a datagram came from.
func (c *Conn) challengeAt(rx *transport.RxPacket) {
	size := min(wire.MinHello, maxAmplified*len(rx.Data))
	if c.guard == nil {
		c.e.reply(rx, wire.PathChallenge, c.remoteIndex, c.remoteToken, c.check.challenge[:], size)
		return
	}
	t := c.e.nextPacket()
	if t == nil {
		return
	}
	route, err := c.e.tr.Resolve(rx.From, rx.To)
	if err != nil {
		return
	}
	n := c.controlHeader(t, wire.PathChallenge)
	n += copy(t.Head[n:], c.check.challenge[:])
	if size -= c.tag; n < size {
		clear(t.Head[n:size])
		n = size
	}
	c.sendControlOn(t, n, route, c.guard)
	c.e.strays = append(c.e.strays, route)
}

// challengeKnown asks whether the client is where it was.
func (c *Conn) challengeKnown() {
	check := c.check
	if t := c.e.nextPacket(); t != nil {
		n := c.controlHeader(t, wire.PathChallenge)
		c.sendControl(t, n+copy(t.Head[n:], check.challenge[:]))
	} else {
		check.silences-- // it was not asked
	}
	check.again = c.e.now + max(c.silence(), minSilence)
}

// deadline is when the check has to go on; ok is false if there is none, or it
// only waits for the new address.
func (p *pathCheck) deadline() (at time.Duration, ok bool) {
	return p.again, p.addr.IsValid() && p.silences < maxSilences
}

// silent notes that nothing came from the known address for one more wait.
func (c *Conn) silent() {
	check := c.check
	if check.silences++; check.silences < maxSilences {
		c.challengeKnown()
	} else if check.answered {
		c.moved()
	}
}

// present ends the check: the client is where it was.
func (p *pathCheck) present() { p.addr, p.answered = netip.AddrPort{}, false }

// answerPath answers a server that found us at a new address, and asked in so many
// bytes.
func (c *Conn) answerPath(data [wire.PathDataSize]byte, asked int) {
	c.lastHeard = c.e.now
	c.probes = 0 // the server is there, but takes nothing in until it knows where we are
	if t := c.e.nextPacket(); t != nil {
		n := c.controlHeader(t, wire.PathResponse)
		n += copy(t.Head[n:], data[:])
		size := max(n, min(asked, wire.MinHello)-c.tag)
		clear(t.Head[n:size])
		c.sendControl(t, size)
	}
}

// asked says whether data is what the client was asked to send back.
func (c *Conn) asked(data [wire.PathDataSize]byte) bool {
	return c.state == Connected && c.check != nil && c.check.addr.IsValid() && c.check.challenge == data
}

// pathAnswers takes in that the client has been reached, at the new address or the
// known one.
func (c *Conn) pathAnswers(rx *transport.RxPacket) {
	switch check := c.check; rx.From {
	case c.addr:
		c.lastHeard = c.e.now
		check.present()
	case check.addr:
		check.answered, check.local = true, rx.To
		if check.silences >= maxSilences {
			c.moved()
		}
	default:
		c.e.stats.RxUnknown++
	}
}

// moved goes on with a client at the address that was checked, where what is under
// way is sent again: it went to the former one.
func (c *Conn) moved() {
	e := c.e
	to, local := c.check.addr, c.check.local
	c.check = nil
	key := acceptKey{to, c.remoteIndex, c.remoteToken}
	if e.accepted[key] != nil {
		return
	}
	route, err := e.tr.Resolve(to, local)
	if err != nil {
		return
	}
	e.strays = append(e.strays, c.route)
	delete(e.accepted, acceptKey{c.addr, c.remoteIndex, c.remoteToken})
	e.accepted[key] = c
	former := c.addr
	c.lastHeard = e.now
	c.addr, c.route, c.local = to, route, local

	for n := c.first; n < c.next; n++ {
		if packet := c.packet(n); packet.state <= packetSounding {
			c.lose(n, packet, packetProbed)
		}
	}
	c.advance()
	c.lossAt, c.probes, c.aliveAt, c.largeLost = 0, 0, 0, 0
	if former.Addr() != to.Addr() { // by another path, perhaps
		c.rtt = rtt{}
		c.reorder, c.patience = minReorder, 0
		c.stopWaiting()
		c.control()
		c.mtu, c.mtuTried = wire.MinHello, 0
		c.probeMTU()
	}
	c.in.pending, c.in.now = max(c.in.pending, 1), true // acknowledgements went there, too
	e.stats.PeersMoved++
	c.event(PeerMoved, "was at "+former.String())
	c.Touch()
}
