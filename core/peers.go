package core

import (
	"iter"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/core/packet"
)

// Peer is how a connection stands, and what is under way on it.
type Peer struct {
	Addr netip.AddrPort
	// Side is what this endpoint is to the peer: the client of all calls on the
	// connection, or their server.
	Side Side
	// RTT is the smoothed round trip; 0 before there is one.
	RTT time.Duration
	// Window is how many bytes may be in flight, of which BytesInFlight are, in
	// PacketsInFlight datagrams. MTU is the largest datagram that is known to pass.
	Window, BytesInFlight, PacketsInFlight, MTU int
	// Sessions are open on it. Requests are under way: in slots of a client, or held
	// by a server. Queued wait for a slot of a client's.
	Sessions, Requests, Queued int
}

// Peers goes through the connections, those that were made first to last of all
// that have their places still.
func (e *Endpoint) Peers() iter.Seq[Peer] {
	return func(yield func(Peer) bool) {
		for c := range e.packets.Conns() {
			if m, ok := c.Layer().(*mux); ok && c.State() == packet.Connected && !yield(m.peer()) {
				return
			}
		}
	}
}

func (m *mux) peer() Peer {
	p := Peer{Addr: m.conn.Addr(), Side: Server, RTT: m.conn.RTT(), MTU: m.conn.MTU(), Sessions: m.sessions, Requests: m.requests}
	p.PacketsInFlight, p.BytesInFlight, p.Window = m.conn.Flight()
	if m.conn.Dialed() {
		p.Side, p.Sessions, p.Requests = Client, m.open, m.outstanding
		m.eachSession(func(s *Session) { p.Queued += s.waiting.length })
	}
	return p
}
