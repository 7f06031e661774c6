package core

import (
	"time"

	"github.com/peregrine-rpc/peregrine/core/packet"
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
	cfg     Config
	packets *packet.Endpoint
	tr      transport.Transport // packets', for what it says of memory
	stats   Stats
	timed   bool // Config.Ended or Recorder want to know when calls and requests began
	tally   tally

	handlers       methods
	streamHandlers map[uint16]StreamHandler
	names          map[string]uint16
	longestName    int

	running uint32 // of requests: its handler is on the stack; 0: none
	taking  taking
	message wire.Message

	slots      table[clientSlot]
	requests   table[Request]
	controls   pool[outgoing]
	assemblies pool[assembly]
	arrivals   pool[arrival]
	hoarders   ranking
	crowds     ranking
	buffers    buffers
	sendings   pool[sending]
	helds      pool[held]
	holdings   pool[holdings]
	shown      *held // by the user of a stream, and shownOf the mux whose it is
	shownOf    *mux
	asking     uint16    // turn of askStreams
	turns      []*Stream // to look at in the next settle; nextTurn first
	nextTurn   int
	failed     []parked // calls and streams that end in the next settle
	notices    []func() // to call in the next settle
	parked     []parked
	tidy       tidy
	lastID     uint32
	serial     uint64
	ups        uint64 // connections that were made

	sessions, controlling  int
	held, refused          int // requests; those refused among them
	entries                int // of all connections' served
	streaming              int // streams whose users were not told that they are over
	servedStreams          int
	streamEntries          int // of all served sessions
	accounts               map[string]*account
	accounted              int // connections of those
	draining, closed, over bool
}

// New makes an endpoint on tr, whose owner it becomes: nobody else may call
// tr's methods, save those that any goroutine may. now is the present time.
func New(cfg Config, tr transport.Transport, now time.Duration) (*Endpoint, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Endpoint{cfg: cfg, tr: tr, buffers: buffers{bound: cfg.ReassemblyMemory, poison: cfg.Poison}}
	e.hoarders, e.crowds, e.accounts = hoarders(), crowds(), map[string]*account{}
	e.timed = cfg.Ended != nil || cfg.Recorder != nil
	e.tidy.timer = packet.NewTimer(&e.tidy)
	e.tidy.e = e
	e.packets, err = packet.New(cfg.ofPackets(), tr, func(c *packet.Conn) packet.Layer {
		m := e.newMux("")
		m.conn = c
		return m
	}, now)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Transport is what the endpoint was made on.
func (e *Endpoint) Transport() transport.Transport { return e.tr }

// Packets is the layer of connections that the endpoint stands on.
func (e *Endpoint) Packets() *packet.Endpoint { return e.packets }

// Advance sets the time without doing any work. Call it before submitting
// after a pause, so that timeouts count from then.
func (e *Endpoint) Advance(now time.Duration) {
	e.packets.Advance(now)
	if e.cfg.Recorder != nil {
		e.cfg.Recorder.turn()
	}
}

// Poll does all there is to do at time now: Fetch, Receive, then Flush.
func (e *Endpoint) Poll(now time.Duration) (progress bool, err error) {
	if e.packets == nil {
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
func (e *Endpoint) Fetch() { e.packets.Fetch() }

// Receive takes in what Fetch got, and runs handlers and completions. progress
// says whether there was anything. Call Flush next, with the time by then: what
// handlers took does not count as the network's.
//
// If a handler or completion does not return, since it panics and somebody
// recovers, or ends its goroutine, the next Receive goes on behind it, on any
// goroutine. A request whose handler has not answered then fails with Internal.
func (e *Endpoint) Receive(now time.Duration) (progress bool) {
	e.Advance(now)
	if e.running != 0 || e.shown != nil || e.taking.unread != 0 {
		e.resume()
	}
	progress = e.packets.Receive()
	e.tellEnded()
	return progress
}

// Inject takes in a packet that another queue's endpoint received and found to
// be this one's. The next Poll acts on it. rx is not kept, unless a handler does
// not return; it is then read once more, by the next Inject or Receive.
func (e *Endpoint) Inject(rx *transport.RxPacket) {
	e.resume()
	e.packets.Inject(rx)
}

// InjectUnreachable takes in word that another queue's endpoint has heard of a
// datagram that it did not send. The next Poll acts on it. u is not kept.
func (e *Endpoint) InjectUnreachable(u *transport.Unreachable) { e.packets.InjectUnreachable(u) }

// Flush fires timers and sends. progress says whether there may be more to do at
// once. After an error, which is the transport's, the endpoint is of no more use
// but to be closed.
func (e *Endpoint) Flush(now time.Duration) (progress bool, err error) {
	e.Advance(now)
	e.packets.Expire()
	if len(e.notices)+len(e.failed)+len(e.turns)+len(e.parked) > 0 {
		e.settle()
	}
	e.tellEnded()
	return e.packets.Send()
}

// lookAgain is when to ask the transport again whether it has let go of memory,
// which it does not say of itself.
const lookAgain = time.Millisecond

// NextDeadline is when Poll has to be called at the latest; ok is false if only
// a received packet can give it anything to do.
func (e *Endpoint) NextDeadline() (at time.Duration, ok bool) {
	if len(e.failed)+len(e.notices)+len(e.turns) > 0 {
		return e.packets.Now(), true
	}
	at, ok = e.packets.NextDeadline()
	if look := e.packets.Now() + lookAgain; len(e.parked) > 0 && (!ok || look < at) {
		return look, true
	}
	return at, ok
}

// Drain makes the endpoint refuse new clients and requests, with Unavailable,
// while those it has accepted go on.
func (e *Endpoint) Drain() {
	e.draining = true
	e.packets.Drain()
}

// Drained says whether no request is held, but those that were refused, and no
// call or stream is under way.
func (e *Endpoint) Drained() bool {
	return e.streaming == 0 && e.held == e.refused && e.stats.CallsStarted == e.stats.CallsSucceeded+e.stats.CallsFailed
}

// closeRounds bounds how often completions may submit again during Close.
const closeRounds = 1000

// Close tells all peers, fails all calls and closes the transport. If a completion
// does not return, Close again goes on behind it.
func (e *Endpoint) Close() error {
	if e.over || e.packets == nil {
		return nil
	}
	e.closed = true
	e.packets.Shut()
	for c := range e.packets.Conns() {
		m := c.Layer().(*mux)
		m.eachSession(func(s *Session) { s.Close() }) // the last one closes the connection
		if c.State() != packet.Gone {
			m.close("server is shutting down")
		}
	}
	for round := 0; round == 0 || len(e.failed)+len(e.notices)+len(e.turns) > 0 && round < closeRounds; round++ {
		e.settle()
	}
	err := e.packets.Close()
	for len(e.parked) > 0 { // the transport reads nothing any more
		w := e.parked[0]
		e.parked = e.parked[1:]
		if w.request != nil {
			w.request.out.payloadEnd = 0
		}
		e.unpark(w)
	}
	e.tellEnded()
	e.over = true
	return err
}
