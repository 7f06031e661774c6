package core

import (
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

type peerState uint8

const (
	peerIdle       peerState = iota // dialed, but not connected
	peerConnecting                  // dialed; Hello sent
	peerWaiting                     // dialed; an attempt failed, and the next one has to wait
	peerConnected
	peerGone // forgotten; only stale pointers lead here
)

// keepAlivesPerTimeout is how often a client breaks its silence before its
// peer would give it up.
const keepAlivesPerTimeout = 4

// idleAfter is the silence after which a peer's rings are given back.
const idleAfter = time.Second

// peer is the connection to one remote endpoint: one packet number space, one
// round-trip estimate, one congestion controller, one MTU. Sessions to the same
// endpoint share it, so that their messages share datagrams. The side that
// dialed is the client of all its sessions.
type peer struct {
	ep    *Endpoint
	addr  netip.AddrPort
	route transport.Route
	state peerState

	dialed       bool
	index, token uint32 // what the remote puts in its headers
	remoteIndex  uint32
	remoteToken  uint32

	// Negotiated.
	checksum   bool
	slots      int // a session
	maxSession int // sessions
	maxMessage int64
	timeout    time.Duration // silence after which the peer is given up
	pingEvery  time.Duration // silence that neither side should let pass

	recovery
	pacer
	in        received
	lastHeard time.Duration
	ackNow    bool // ask for an acknowledgement with the next packet

	pings []func(time.Duration, error)

	mtu        int // datagram bytes known to pass
	maxMTU     int // that both ends allow
	mtuTried   int // probes of the present round
	mtuRetryAt time.Duration

	urgent, bulk outgoingQueue
	dirty        bool // in Endpoint.dirty

	controls int // control messages under way
	timer    timer
	hello    hello         // dialed: the handshake
	clients  []clientEntry // dialed: by session index
	freed    []uint16      // dialed: free indexes of clients
	open     int           // dialed: sessions open
	// outstanding counts a dialed peer's requests in slots.
	outstanding int
	served      []servedEntry // accepted: by session index

	check *pathCheck // accepted: of the client's new address
	local netip.Addr // of this host, that the remote uses; zero: LocalAddr's

	// Of a dialed peer that is not connected:
	failure  *Error // of the last attempt, until one succeeds or nobody waits
	failures int    // in a row
	wanted   bool   // somebody called since the last attempt
	shown    ConnState
}

// touch makes the next flush look at p.
func (p *peer) touch() {
	if !p.dirty {
		p.dirty = true
		p.ep.dirty = append(p.ep.dirty, p)
	}
}

// enqueue queues m for sending.
func (p *peer) enqueue(m *outgoing) {
	if len(m.data) <= p.singleLimit() {
		p.urgent.push(m)
	} else {
		p.bulk.push(m)
	}
	if !p.dirty {
		p.touch()
	}
}

// singleLimit is how long a message may be to travel in one packet.
func (p *peer) singleLimit() int {
	return p.mtu - wire.HeaderSize - wire.ChecksumSize - wire.MessageHeaderSize - wire.DeadlineSize
}

// stride is the length of the fragments of longer messages.
func (p *peer) stride() int { return p.singleLimit() - wire.FragmentSize }

// establish begins the connected state with what the remote said of itself.
func (p *peer) establish(index, token uint32, remote *wire.Params) {
	cfg := &p.ep.cfg
	p.state = peerConnected
	p.failure, p.failures = nil, 0
	p.remoteIndex, p.remoteToken = index, token
	p.checksum = p.ep.wantsChecksum() || remote.Features&wire.FeatureChecksum != 0
	p.slots = min(cfg.Slots, int(remote.Slots))
	p.maxSession = int(remote.Sessions)
	p.maxMessage = int64(remote.MaxMessage)
	p.timeout = cfg.KeepAlive
	p.pingEvery = max(granularity, min(cfg.KeepAlive, time.Duration(remote.KeepAlive)*time.Millisecond)/keepAlivesPerTimeout)
	p.mtu = wire.MinHello
	p.maxMTU = min(cfg.MaxDatagram, p.ep.caps.MaxPayload, int(remote.MaxDatagram))
	p.recovery = recovery{
		credits:      min(int(remote.Credits), MaxCredits),
		reorder:      minReorder,
		peerAckDelay: time.Duration(remote.AckDelay) * time.Microsecond,
		controller:   cfg.Controller(cc.Path{Datagram: wire.MinHello, LinkRate: p.ep.caps.LinkRate}),
		receiveBound: int(remote.ReceiveWindow),
		maxProbe:     p.pingEvery,
	}
	p.first, p.next = 1, 1
	p.in = received{}
	p.refreshWindow()
	p.lastHeard = p.ep.now
	p.ep.connected++
	p.mtuTried, p.mtuRetryAt = 0, 0
	if p.dialed {
		p.probeMTU() // the server does once the client has shown to be connected
	}
	p.touch()
	p.event(PeerConnected, "")
}

func (p *peer) event(kind EventKind, reason string) {
	if f := p.ep.cfg.Events; f != nil {
		f(Event{kind, p.addr, reason})
	}
}

func (p *peer) refreshWindow() {
	p.window = p.controller.Window()
	p.rate = p.controller.Rate()
	if p.receiveBound > 0 {
		p.window = min(p.window, p.receiveBound)
	}
}

// disconnect leaves the connected state: nothing is in flight any more.
func (p *peer) disconnect() {
	if p.state == peerConnected {
		p.ep.connected--
	}
	for n := p.first; n < p.next; n++ {
		if packet := p.packet(n); packet.state == packetInFlight {
			for i := range uint32(packet.count) {
				if ref := p.ref(packet.refs + i); ref.message.id == ref.id {
					p.ep.recycleControl(ref.message)
				}
			}
		}
	}
	p.recovery = recovery{}
	p.stopWaiting()
	p.rate = 0
	p.in = received{}
	for _, q := range []*outgoingQueue{&p.urgent, &p.bulk} {
		for q.head != nil {
			m := q.head
			m.dequeue()
			p.ep.recycleControl(m)
		}
	}
	p.ep.timers.stop(&p.timer)
}

// expired is the peer's timer.
func (p *peer) expired() {
	now := p.ep.now
	switch p.state {
	case peerConnecting:
		p.helloTimer()
	case peerWaiting:
		p.backoffOver()
	case peerConnected:
		if now-p.lastHeard >= p.timeout {
			p.lost("peer "+p.addr.String()+" fell silent", nil)
			return
		}
		p.lossTimer()
		if p.inFlight == 0 && now-p.lastSent >= min(idleAfter, p.pingEvery) {
			p.shrink()
			p.lostFloor = 0
		}
		if p.keepsAlive() && now-p.lastHeard >= p.pingEvery && p.inFlight == 0 && p.urgent.head == nil {
			p.ping(0)
		}
		if p.mtuRetryAt != 0 && now >= p.mtuRetryAt {
			p.probeMTU()
		}
		if p.check != nil {
			if at, ok := p.check.deadline(); ok && now >= at {
				p.silent()
			}
		}
		p.touch()
		p.schedule()
	}
}

func (p *peer) keepsAlive() bool { return p.dialed && p.open > 0 }

// schedule sets the timer to the earliest deadline, unless it fires before.
func (p *peer) schedule() {
	at := p.lastHeard + p.timeout
	if p.keepsAlive() {
		if ping := p.lastHeard + p.pingEvery; p.inFlight == 0 {
			at = min(at, ping)
		}
	}
	if p.in.pending > 0 {
		at = min(at, p.in.due)
	}
	if loss, ok := p.recovery.deadline(); ok {
		at = min(at, loss)
	} else if p.packets != nil {
		at = min(at, p.lastSent+idleAfter)
	}
	if p.mtuRetryAt != 0 {
		at = min(at, p.mtuRetryAt)
	}
	if p.check != nil {
		if check, ok := p.check.deadline(); ok {
			at = min(at, check)
		}
	}
	if at <= p.ep.now { // overdue: the transport takes no more for now
		at = p.ep.now + granularity
	}
	p.ep.timers.soonen(&p.timer, at)
}

// lost is fail for a connection that ended without a word.
func (p *peer) lost(reason string, cause error) {
	p.ep.stats.PeersFailed++
	p.event(PeerLost, reason)
	p.fail(&Error{Code: Unavailable, Message: reason, Cause: cause})
}

// fail ends the connection without a word to the remote: it is gone, or has
// forgotten us. A client's calls under way fail; its sessions stay and connect
// anew with the next call.
func (p *peer) fail(why *Error) {
	e := p.ep
	p.disconnect()
	if !p.dialed {
		e.forget(p)
		return
	}
	e.renew(p)
	p.failPings(why)
	p.eachSession(func(s *Session) { s.failActive(why) })
	p.changed(why)
	if p.awaited() {
		p.connect()
	}
}

func (p *peer) eachSession(f func(*Session)) {
	for i := range p.clients {
		if s := p.clients[i].session; s != nil {
			f(s)
		}
	}
}
