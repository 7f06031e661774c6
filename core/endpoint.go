package core

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Endpoint is one event loop's worth of the protocol engine: all connections
// over one transport queue, as server and as client.
//
// It is not safe for concurrent use: one goroutine calls all its methods and
// those of its sessions and requests, and all handlers and completions run
// there, inside Poll. It reads no clock: time comes in, as a duration since an
// epoch of the caller's, and never runs backwards.
//
// The goroutine's loop is: Poll; if it reports no progress, wait on the
// transport until NextDeadline at the latest; Poll again.
type Endpoint struct {
	cfg    Config
	tr     transport.Transport
	caps   transport.Caps
	queue  uint32 // caps.Queue
	now    time.Duration
	random *rand.ChaCha8
	stats  Stats

	handlers []Handler
	peers    []*peer // by index
	freed    []uint32
	dialed   map[netip.AddrPort]*peer
	accepted map[acceptKey]*peer
	cookies  cookies
	dirty    []*peer // have something to send, or to acknowledge
	timers   timers
	wheel    *cc.Wheel         // of peers that are paced
	strays   []transport.Route // to forget once the burst is sent

	rx       []transport.RxPacket
	fetched  int    // of rx
	begun    int    // of those, that Receive has begun with
	hand     []byte // the datagram whose messages are being handled
	unread   int    // bytes of it, in messages that were not begun
	running  uint32 // of requests: its handler is on the stack; 0: none
	burst    burst
	rxHeader wire.Header
	txHeader wire.Header
	rxHello  wire.HelloBody
	message  wire.Message

	slots      table[clientSlot]
	requests   table[Request]
	controls   pool[outgoing]
	assemblies pool[assembly]
	buffers    buffers
	failed     []parked // calls that complete in the next settle
	notices    []func() // to call in the next settle
	parked     []parked
	tidy       tidy
	lastID     uint32
	serial     uint64

	connected, sessions, controlling  int
	held, refused                     int // requests; those refused among them
	entries                           int // of all peers' served
	draining, closed, ended, injected bool
	failure                           error                         // of the transport
	unreachable                       transport.UnreachableReporter // tr, if it can tell
}

// New makes an endpoint on tr, whose owner it becomes: nobody else may call
// tr's methods, save those that any goroutine may. now is the present time.
func New(cfg Config, tr transport.Transport, now time.Duration) (*Endpoint, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	caps := tr.Caps()
	if caps.MaxPayload < wire.MinHello {
		return nil, fmt.Errorf("transport %s carries datagrams of %d bytes; the protocol needs %d: raise the device's MTU",
			caps.Backend, caps.MaxPayload, wire.MinHello)
	}
	random := rand.NewChaCha8(cfg.Seed)
	var secret [32]byte
	random.Read(secret[:])
	if caps.Queue > 0 { // the secret is one, tokens are not to be
		random = rand.NewChaCha8(sha256.Sum256(binary.LittleEndian.AppendUint32(cfg.Seed[:], uint32(caps.Queue))))
	}
	unreachable, _ := tr.(transport.UnreachableReporter)
	return &Endpoint{
		unreachable: unreachable,
		cfg:         cfg, tr: tr, caps: caps, now: now,
		queue:    uint32(caps.Queue),
		random:   random,
		dialed:   map[netip.AddrPort]*peer{},
		accepted: map[acceptKey]*peer{},
		cookies:  newCookies(secret[:]),
		wheel:    cc.NewWheel(wheelGranularity, wheelSlots),
		buffers:  buffers{bound: cfg.ReassemblyMemory, poison: cfg.Poison},
		rx:       make([]transport.RxPacket, max(1, min(caps.RxBatch, 256))),
	}, nil
}

// Transport is what the endpoint was made on.
func (e *Endpoint) Transport() transport.Transport { return e.tr }

// Advance sets the time without doing any work. Call it before submitting
// after a pause, so that timeouts count from then.
func (e *Endpoint) Advance(now time.Duration) { e.now = max(e.now, now) }

// Poll does all there is to do at time now: Fetch, Receive, then Flush.
func (e *Endpoint) Poll(now time.Duration) (progress bool, err error) {
	if e.tr == nil {
		return false, errNotMade
	}
	e.Fetch()
	received := e.Receive(now)
	sent, err := e.Flush(now)
	return received || sent, err
}

// Fetch takes a burst from the transport, for Receive to look at. Read the clock
// between the two: what arrived then did so before that time, and however long
// it waited on this host can be told from what it took on the way.
func (e *Endpoint) Fetch() {
	if e.fetched > 0 {
		return // Receive was left early
	}
	n, err := e.tr.Recv(e.rx)
	if err != nil {
		e.broke(err)
	}
	e.fetched = n
}

// Receive takes in what Fetch got, and runs handlers and completions. progress
// says whether there was anything. Call Flush next, with the time by then: what
// handlers took does not count as the network's.
//
// If a handler or completion does not return, since it panics and somebody
// recovers, or ends its goroutine, the next Receive goes on behind it, on any
// goroutine. A request whose handler has not answered then fails with Internal.
func (e *Endpoint) Receive(now time.Duration) (progress bool) {
	e.Advance(now)
	e.resume()
	n := e.fetched
	for e.begun < n && !e.closed { // Close takes the memory away
		rx := &e.rx[e.begun]
		e.begun++
		e.receive(rx)
	}
	if n > 0 && !e.closed {
		e.tr.Release(e.rx[:n])
	}
	e.fetched, e.begun = 0, 0
	if e.unreachable != nil && !e.closed {
		e.heedUnreachable()
	}
	return n > 0
}

// Flush fires timers and sends. progress says whether there may be more to do at
// once. After an error, which is the transport's, the endpoint is of no more use
// but to be closed.
func (e *Endpoint) Flush(now time.Duration) (progress bool, err error) {
	e.Advance(now)
	e.timers.expire(e.now)
	e.unpace()
	e.settle()
	placed := e.burst.placed
	e.flush()
	return e.burst.placed != placed, e.failure
}

// NextDeadline is when Poll has to be called at the latest; ok is false if only
// a received packet can give it anything to do.
func (e *Endpoint) NextDeadline() (at time.Duration, ok bool) {
	if len(e.failed)+len(e.notices) > 0 {
		return e.now, true
	}
	if len(e.timers.heap) > 0 {
		at, ok = e.timers.heap[0].at, true
	}
	if pace, has := e.wheel.Next(); has && (!ok || pace < at) {
		at, ok = pace, true
	}
	if look := e.now + granularity; len(e.parked) > 0 && (!ok || look < at) {
		return look, true // the transport does not say when it lets go of memory
	}
	return at, ok
}

// peerAt returns the peer that a header addresses.
func (e *Endpoint) peerAt(index, token uint32) *peer {
	slot := index & (1<<queueShift - 1)
	if int(slot) >= len(e.peers) {
		return nil
	}
	if p := e.peers[slot]; p != nil && p.token == token && p.index == index {
		return p
	}
	return nil
}

func (e *Endpoint) newPeer(addr netip.AddrPort, route transport.Route) *peer {
	p := &peer{ep: e, addr: addr, route: route, token: e.newToken(), mtu: wire.MinHello}
	p.timer.owner = p
	p.place.Owner = p
	var slot uint32
	if n := len(e.freed); n > 0 {
		slot = e.freed[n-1]
		e.freed = e.freed[:n-1]
		e.peers[slot] = p
	} else {
		slot = uint32(len(e.peers))
		e.peers = append(e.peers, p)
	}
	p.index = e.queue<<queueShift | slot
	return p
}

func (e *Endpoint) newToken() uint32 { return uint32(e.random.Uint64()>>32) | 1 }

// renew readies a dialed peer for another handshake.
func (e *Endpoint) renew(p *peer) {
	p.state = peerIdle
	p.token = e.newToken()
}

// forget drops a peer for good. What is built for it still goes out.
func (e *Endpoint) forget(p *peer) {
	if p.state == peerGone {
		return
	}
	p.state = peerGone
	p.dropServed()
	slot := p.index & (1<<queueShift - 1)
	e.peers[slot] = nil
	e.freed = append(e.freed, slot)
	e.tidySoon()
	if p.dialed {
		delete(e.dialed, p.addr)
	} else {
		delete(e.accepted, acceptKey{p.addr, p.remoteIndex, p.remoteToken})
	}
	e.strays = append(e.strays, p.route)
}

// Drain makes the endpoint refuse new clients and requests, with Unavailable,
// while those it has accepted go on.
func (e *Endpoint) Drain() { e.draining = true }

// Drained says whether no request is held, but those that were refused, and no
// call is under way.
func (e *Endpoint) Drained() bool {
	return e.held == e.refused && e.stats.CallsStarted == e.stats.CallsSucceeded+e.stats.CallsFailed
}

// closeRounds bounds how often completions may submit again during Close.
const closeRounds = 1000

// Close tells all peers, fails all calls and closes the transport. If a completion
// does not return, Close again goes on behind it.
func (e *Endpoint) Close() error {
	if e.ended || e.tr == nil {
		return nil
	}
	e.closed = true
	e.sendAll() // makes room for the goodbyes
	for _, p := range e.peers {
		if p == nil {
			continue
		}
		p.eachSession(func(s *Session) { s.Close() }) // the last one closes the peer
		if p.state != peerGone {
			p.close("server is shutting down")
		}
	}
	for round := 0; round == 0 || len(e.failed)+len(e.notices) > 0 && round < closeRounds; round++ {
		e.settle()
	}
	e.sendAll()
	err := e.tr.Close()
	for len(e.parked) > 0 { // the transport reads nothing any more
		w := e.parked[0]
		e.parked = e.parked[1:]
		if w.call != nil {
			e.complete(w.call, 0)
		} else {
			w.request.out.payloadEnd = 0
			w.request.free()
		}
	}
	e.ended = true
	return err
}

// sendAll hands down what is built, to a transport that may take it bit by bit.
func (e *Endpoint) sendAll() {
	for before := -1; e.burst.sent > before; {
		before = e.burst.sent
		e.sendBurst()
	}
}
