package packet

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// granularity is what timers and schedulers of the host may be late by.
const granularity = time.Millisecond

// Endpoint is all connections over one transport queue.
//
// It is not safe for concurrent use: one goroutine calls all its methods, those
// of its connections, and through them those of their layers. It reads no clock:
// time comes in, as a duration since an epoch of the caller's, and never runs
// backwards.
//
// The goroutine's loop is: Poll; if it reports no progress, wait on the transport
// until NextDeadline at the latest; Poll again.
type Endpoint struct {
	cfg    Config
	layers func(*Conn) Layer // makes those of accepted connections
	tr     transport.Transport
	caps   transport.Caps
	queue  uint32 // caps.Queue
	now    time.Duration
	random *rand.ChaCha8
	stats  Stats

	handshake
	conns    []*Conn // by index
	freed    []uint32
	dialed   map[netip.AddrPort]*Conn
	accepted map[acceptKey]*Conn
	// The most that the maps have held since they were made.
	mostDialed, mostAccepted int
	connected                int

	exchanges []*Conn // that have one
	proving   int     // of them, clients that are not connected yet
	reserved  int     // bytes of each datagram for header, and checksum or tag

	dirty  []*Conn // have something to send, or to acknowledge
	timers timers
	wheel  *cc.Wheel         // of connections that are paced
	strays []transport.Route // to forget once the burst is sent

	rx       []transport.RxPacket
	fetched  int  // of rx
	begun    int  // of those, that Receive has begun with
	behind   bool // they were a whole burst, and there may be more
	burst    burst
	run      Run    // of burst, that a layer fills
	plain    []byte // for what is opened
	apart    [MaxApart]byte
	rxHeader wire.Header

	draining, closed, injected bool
	failure                    error                         // of the transport
	unreachable                transport.UnreachableReporter // tr, if it can tell
	heeded                     time.Duration                 // when it was asked last
}

// New makes an endpoint on tr, whose owner it becomes: nobody else may call
// tr's methods, save those that any goroutine may. layers makes those of
// connections that others begin. now is the present time.
func New(cfg Config, tr transport.Transport, layers func(*Conn) Layer, now time.Duration) (*Endpoint, error) {
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
	e := &Endpoint{
		unreachable: unreachable,
		cfg:         cfg, layers: layers, tr: tr, caps: caps, now: now,
		queue:     uint32(caps.Queue),
		random:    random,
		handshake: handshake{cookies: newCookies(secret[:])},
		dialed:    map[netip.AddrPort]*Conn{},
		accepted:  map[acceptKey]*Conn{},
		wheel:     cc.NewWheel(wheelGranularity, wheelSlots),
		rx:        make([]transport.RxPacket, max(1, min(caps.RxBatch, 256))),
		reserved:  wire.HeaderSize + wire.ChecksumSize,
	}
	if cfg.Security != nil {
		e.plain = make([]byte, max(caps.MaxPayload, cfg.MaxDatagram))
		e.reserved = wire.HeaderSize + wire.TagSize
	}
	return e, nil
}

// Now is the time as of the last Advance.
func (e *Endpoint) Now() time.Duration { return e.now }

// Advance sets the time without doing any work.
func (e *Endpoint) Advance(now time.Duration) { e.now = max(e.now, now) }

// Poll does all there is to do at time now: Fetch, Receive, Expire, then Send. A
// layer that has work of its own between them calls them itself.
func (e *Endpoint) Poll(now time.Duration) (progress bool, err error) {
	e.Fetch()
	e.Advance(now)
	received := e.Receive()
	e.Expire()
	sent, err := e.Send()
	return received || sent, err
}

// Set sets a timer of the layers', or moves it, to a time.
func (e *Endpoint) Set(t *Timer, at time.Duration) { e.timers.set(t, at) }

// Stop stops a timer, if it is set.
func (e *Endpoint) Stop(t *Timer) { e.timers.stop(t) }

// Placed counts the datagrams built so far. The transport numbers them alike: it
// has let go of the next one's Payload once it has completed one more than Placed.
func (e *Endpoint) Placed() uint64 { return e.burst.placed }

// Expire fires timers, and looks whose turn to send has come.
func (e *Endpoint) Expire() {
	if len(e.exchanges) > 0 {
		e.proceed()
	}
	if h := e.timers.heap; len(h) > 0 && h[0].at <= e.now {
		e.timers.expire(e.now)
	}
	e.unpace()
}

// NextDeadline is when the loop has to go on at the latest; ok is false if only a
// received packet can give it anything to do.
func (e *Endpoint) NextDeadline() (at time.Duration, ok bool) {
	if len(e.timers.heap) > 0 {
		at, ok = e.timers.heap[0].at, true
	}
	if pace, has := e.wheel.Next(); has && (!ok || pace < at) {
		at, ok = pace, true
	}
	return at, ok
}

// Conns has all connections that are not gone.
func (e *Endpoint) Conns() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		for _, c := range e.conns {
			if c != nil && !yield(c) {
				return
			}
		}
	}
}

// To is the connection that was dialed to addr; nil if there is none.
func (e *Endpoint) To(addr netip.AddrPort) *Conn { return e.dialed[addr] }

// Dial makes a connection to addr, where there is none yet, that carries layer. It
// is idle: Connect begins an attempt.
func (e *Endpoint) Dial(addr netip.AddrPort, layer Layer) (*Conn, error) {
	route, err := transport.Dial(e.tr, addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %v: %w", addr, err)
	}
	c := e.newConn(path{addr: addr, route: route, dialed: true})
	c.layer = layer
	e.dialed[addr] = c
	e.mostDialed = max(e.mostDialed, len(e.dialed))
	return c, nil
}

// connAt returns the connection that a header addresses.
func (e *Endpoint) connAt(index, token uint32) *Conn {
	slot := index & (1<<queueShift - 1)
	if int(slot) >= len(e.conns) {
		return nil
	}
	if c := e.conns[slot]; c != nil && c.token == token && c.index == index {
		return c
	}
	return nil
}

// newConn makes a connection by a path, and gives it its index and token.
func (e *Endpoint) newConn(p path) *Conn {
	c := &Conn{e: e, path: p, pathMTU: pathMTU{mtu: wire.MinHello, reserved: e.reserved}}
	c.token = e.newToken()
	c.timer.owner = c
	c.place.Owner = c
	var slot uint32
	if n := len(e.freed); n > 0 {
		slot = e.freed[n-1]
		e.freed = e.freed[:n-1]
		e.conns[slot] = c
	} else {
		slot = uint32(len(e.conns))
		e.conns = append(e.conns, c)
	}
	c.index = e.queue<<queueShift | slot
	return c
}

func (e *Endpoint) newToken() uint32 { return uint32(e.random.Uint64()>>32) | 1 }

// renew readies a dialed connection for another handshake.
func (c *Conn) renew() {
	c.unguard()
	c.state = Idle
	c.token = c.e.newToken()
	c.remoteIndex, c.remoteToken = 0, 0
}

// forget drops a connection for good. What is built for it still goes out.
func (e *Endpoint) forget(c *Conn) {
	if c.state == Gone {
		return
	}
	c.unguard()
	c.state = Gone
	c.layer.Gone()
	slot := c.index & (1<<queueShift - 1)
	e.conns[slot] = nil
	e.freed = append(e.freed, slot)
	if c.dialed {
		delete(e.dialed, c.addr)
	} else {
		delete(e.accepted, acceptKey{c.addr, c.remoteIndex, c.remoteToken})
	}
	e.strays = append(e.strays, c.route)
}

// Drain makes the endpoint refuse whoever wants to connect.
func (e *Endpoint) Drain() { e.draining = true }

// Shut has the endpoint take in nothing more, and makes room for goodbyes. Close
// the connections next, then the endpoint.
func (e *Endpoint) Shut() {
	e.closed = true
	e.sendAll()
}

// Close hands down what is left to send, and closes the transport.
func (e *Endpoint) Close() error {
	e.sendAll()
	return e.tr.Close()
}
