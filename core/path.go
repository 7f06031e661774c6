package core

import (
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// A server follows its client to another address, since a NAT forgets and hosts
// move, in the manner of RFC 9000, sections 8.2 and 9: what comes from there is
// taken in, but nothing is sent there before it has shown to arrive. A server
// that moves is another server.

// pathCheck is a client's new address, which has been challenged.
type pathCheck struct {
	addr      netip.AddrPort
	challenge [wire.PathDataSize]byte
	at        time.Duration // of the last challenge
}

// maxAmplified is how many times as long as what it answers a challenge may be.
const maxAmplified = 3

// elsewhere takes note that a datagram of the client came from another address
// than before. If nothing newer has come from the known one, the new one is
// challenged, as often as once a round trip.
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
	}
	if c.addr != rx.From {
		c.addr = rx.From
		e.random.Read(c.challenge[:])
	}
	c.at = e.now
	e.reply(rx, wire.PathChallenge, p.remoteIndex, p.remoteToken, c.challenge[:], min(wire.MinHello, maxAmplified*len(rx.Data)))
}

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

// takePathResponse takes in that a client's new address has been reached.
func (e *Endpoint) takePathResponse(h *wire.Header, rest []byte, rx *transport.RxPacket) error {
	data, err := wire.ParsePath(rest)
	if err != nil {
		return err
	}
	p := e.peerAt(h.Connection, h.Token)
	if p == nil || p.state != peerConnected || p.check == nil || p.check.addr != rx.From || p.check.challenge != data {
		e.stats.RxUnknown++
		return nil
	}
	p.check = nil
	p.lastHeard = e.now
	p.moved(rx.From, rx.To)
	return nil
}

// moved goes on with a client at another address, where what is under way is sent
// again: it went to the former one.
func (p *peer) moved(to netip.AddrPort, local netip.Addr) {
	e := p.ep
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
