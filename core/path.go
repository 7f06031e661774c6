package core

import (
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/cc"
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
func (p *peer) elsewhere(h *wire.Header, rx *transport.RxPacket) {
	newest := h.Type == wire.Data && expand(h.Number, p.in.next) >= p.in.next ||
		h.Type == wire.Ack && h.Acks.Words > 0 && expand(h.Acks.Largest, p.next)+1 >= p.largestAcked
	if !newest {
		return
	}
	e, c := p.ep, p.check
	switch {
	case c == nil:
		c = &pathCheck{}
		p.check = c
	case e.now-c.at < max(p.smoothed, granularity):
		return
	case c.answered && c.addr != rx.From:
		return // one at a time
	}
	if c.addr != rx.From {
		*c = pathCheck{addr: rx.From, at: e.now}
		e.random.Read(c.challenge[:])
		p.challengeKnown()
	}
	c.at = e.now
	e.reply(rx, wire.PathChallenge, p.remoteIndex, p.remoteToken, c.challenge[:], min(wire.MinHello, maxAmplified*len(rx.Data)))
	p.schedule()
}

// challengeKnown asks whether the client is where it was.
func (p *peer) challengeKnown() {
	c := p.check
	if t := p.ep.nextPacket(); t != nil {
		h := wire.Header{Type: wire.PathChallenge, Flags: wire.FlagChecksum, Connection: p.remoteIndex, Token: p.remoteToken}
		n := h.Put(t.Head)
		n += copy(t.Head[n:], c.challenge[:])
		p.sendControl(t, n)
	} else {
		c.silences-- // it was not asked
	}
	c.again = p.ep.now + max(p.silence(), minSilence)
}

// deadline is when the check has to go on; ok is false if there is none, or it
// only waits for the new address.
func (c *pathCheck) deadline() (at time.Duration, ok bool) {
	return c.again, c.addr.IsValid() && c.silences < maxSilences
}

// silent notes that nothing came from the known address for one more wait.
func (p *peer) silent() {
	c := p.check
	if c.silences++; c.silences < maxSilences {
		p.challengeKnown()
	} else if c.answered {
		p.moved()
	}
}

// present ends the check: the client is where it was.
func (c *pathCheck) present() { c.addr, c.answered = netip.AddrPort{}, false }

// takePathChallenge answers a server that found us at a new address.
func (e *Endpoint) takePathChallenge(h *wire.Header, rest []byte, rx *transport.RxPacket) error {
	data, err := wire.ParsePath(rest)
	if err != nil {
		return err
	}
	p := e.peerAt(h.Connection, h.Token)
	if p == nil || !p.dialed || p.addr != rx.From || p.state != peerConnected {
		e.stats.RxUnknown++
		return nil
	}
	p.lastHeard = e.now
	p.probes = 0 // the server is there, but takes nothing in until it knows where we are
	if t := e.nextPacket(); t != nil {
		h := wire.Header{Type: wire.PathResponse, Flags: wire.FlagChecksum, Connection: p.remoteIndex, Token: p.remoteToken}
		n := h.Put(t.Head)
		n += copy(t.Head[n:], data[:])
		size := max(n, min(len(rx.Data), wire.MinHello))
		clear(t.Head[n:size])
		p.sendControl(t, size)
	}
	return nil
}

// takePathResponse takes in that a client has been reached, at the new address
// or the known one.
func (e *Endpoint) takePathResponse(h *wire.Header, rest []byte, rx *transport.RxPacket) error {
	data, err := wire.ParsePath(rest)
	if err != nil {
		return err
	}
	p := e.peerAt(h.Connection, h.Token)
	if p == nil || p.state != peerConnected || p.check == nil || !p.check.addr.IsValid() || p.check.challenge != data {
		e.stats.RxUnknown++
		return nil
	}
	switch c := p.check; rx.From {
	case p.addr:
		p.lastHeard = e.now
		c.present()
	case c.addr:
		c.answered, c.local = true, rx.To
		if c.silences >= maxSilences {
			p.moved()
		}
	default:
		e.stats.RxUnknown++
	}
	return nil
}

// moved goes on with a client at the address that was checked, where what is under
// way is sent again: it went to the former one.
func (p *peer) moved() {
	e := p.ep
	to, local := p.check.addr, p.check.local
	p.check = nil
	key := acceptKey{to, p.remoteIndex, p.remoteToken}
	if e.accepted[key] != nil {
		return
	}
	route, err := e.tr.Resolve(to, local)
	if err != nil {
		return
	}
	e.strays = append(e.strays, p.route)
	delete(e.accepted, acceptKey{p.addr, p.remoteIndex, p.remoteToken})
	e.accepted[key] = p
	former := p.addr
	p.lastHeard = e.now
	p.addr, p.route, p.local = to, route, local

	for n := p.first; n < p.next; n++ {
		if packet := p.packet(n); packet.state == packetInFlight {
			p.lose(n, packet, packetProbed)
		}
	}
	p.advance()
	p.lossAt, p.probes, p.aliveAt, p.largeLost = 0, 0, 0, 0
	if former.Addr() != to.Addr() { // by another path, perhaps
		p.rtt = rtt{}
		p.reorder, p.patience = minReorder, 0
		p.controller = e.cfg.Controller(cc.Path{Datagram: wire.MinHello, LinkRate: e.caps.LinkRate})
		p.stopWaiting()
		p.refreshWindow()
		p.mtu, p.mtuTried = wire.MinHello, 0
		p.probeMTU()
	}
	p.in.pending, p.in.now = max(p.in.pending, 1), true // acknowledgements went there, too
	e.stats.PeersMoved++
	p.event(PeerMoved, "was at "+former.String())
	p.touch()
}
