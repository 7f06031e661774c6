package packet

import (
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// State is how far a connection is.
type State uint8

// States of a connection.
const (
	Idle       State = iota // dialed, but not connected
	Connecting              // dialed; Hello sent
	Waiting                 // dialed; an attempt failed, and the next one has to wait
	Connected
	Gone // forgotten; only stale pointers lead here
)

// KeepAlivesPerTimeout is how often a client breaks its silence before its
// peer would give it up.
const KeepAlivesPerTimeout = 4

// idleAfter is the silence after which a connection's rings are given back.
const idleAfter = time.Second

// Conn is the connection to one remote endpoint: one packet number space, one
// round-trip estimate, one congestion controller, one MTU. What it carries is its
// layer's. Like its Endpoint, it is used by one goroutine.
type Conn struct {
	e     *Endpoint
	layer Layer
	state State
	dirty bool // in Endpoint.dirty

	path
	agreed
	recovery
	pacer
	pathMTU
	in    received
	timer Timer

	lastHeard time.Duration
	ackNow    bool // ask for an acknowledgement with the next packet
	measuring bool // the layer waits for a round trip
	full      bool // the layer takes in no more for now

	hello    hello // dialed: the handshake
	failures int   // dialed: attempts in a row

	guard    *guard    // sealed: once there are keys
	exchange *exchange // sealed: as long as the handshake has something to say
	name     string    // dialed: of the server that is to answer
	peer     any       // sealed: who the remote is
}

// path is where the remote is, and the names that the two sides call the
// connection by.
type path struct {
	addr  netip.AddrPort
	route transport.Route
	local netip.Addr // of this host, that the remote uses; zero: LocalAddr's
	check *pathCheck // accepted: of the client's new address

	dialed                   bool
	index, token             uint32 // what the remote puts in its headers
	remoteIndex, remoteToken uint32
}

// agreed is what the handshake found for both sides.
type agreed struct {
	flags     uint8         // of all Data and Ack: wire.FlagChecksum, wire.FlagSealed, or none
	lead      uint64        // of wire.LeadWords: how Data from the remote begins
	tag       int           // bytes that sealing adds to each datagram
	timeout   time.Duration // silence after which the remote is given up
	pingEvery time.Duration // silence that neither side should let pass
}

// Layer is what the connection was made with.
func (c *Conn) Layer() Layer { return c.layer }

// State is how far the connection is.
func (c *Conn) State() State { return c.state }

// Checked says whether datagrams have checksums, so that none arrives damaged.
func (c *Conn) Checked() bool { return c.flags&wire.FlagChecksum != 0 }

// Dialed says that this side began the connection, and not the remote.
func (c *Conn) Dialed() bool { return c.dialed }

// Addr is the remote's address.
func (c *Conn) Addr() netip.AddrPort { return c.addr }

// Local is the address of this host that the remote uses; zero if it is not known
// to be another than the transport's.
func (c *Conn) Local() netip.Addr { return c.local }

// RTT is the smoothed round trip; 0 before there is one.
func (c *Conn) RTT() time.Duration { return c.smoothed }

// Index is the number by which the remote calls the connection. Of two that exist at
// a time it differs.
func (c *Conn) Index() uint32 { return c.index }

// Flight is what is sent and not acknowledged, and how many bytes may be.
func (c *Conn) Flight() (packets, bytes, window int) { return c.inFlight, c.bytes, c.window }

// Expect names the server that has to answer, before Connect. Without one the address
// is all that Security has to go by.
func (c *Conn) Expect(name string) { c.name = name }

// Peer is who the remote has shown to be, as Security says; nil: it has not.
func (c *Conn) Peer() any { return c.peer }

// Touch makes the next Send ask the layer for what it has.
func (c *Conn) Touch() {
	if !c.dirty {
		c.markDirty()
	}
}

func (c *Conn) markDirty() {
	c.dirty = true
	c.e.dirty = append(c.e.dirty, c)
}

// establish begins the connected state with what the remote said of itself.
func (c *Conn) establish(index, token uint32, remote *wire.Params) {
	e, cfg := c.e, &c.e.cfg
	c.state = Connected
	if c.exchange == nil {
		c.failures = 0 // else once the server is heard, who may refuse us
	}
	c.remoteIndex, c.remoteToken = index, token
	c.agreed = agreed{
		timeout:   cfg.KeepAlive,
		pingEvery: max(granularity, min(cfg.KeepAlive, time.Duration(remote.KeepAlive)*time.Millisecond)/KeepAlivesPerTimeout),
	}
	switch {
	case c.guard != nil:
		c.flags, c.tag = wire.FlagSealed, c.guard.Overhead()
	case e.wantsChecksum() || remote.Features&wire.FeatureChecksum != 0:
		c.flags = wire.FlagChecksum
	}
	c.lead, _ = wire.LeadWords(wire.Data, c.flags, 0, c.index, 0)
	c.pathMTU = pathMTU{mtu: wire.MinHello, reserved: e.reserved, maxMTU: min(cfg.MaxDatagram, e.caps.MaxPayload, int(remote.MaxDatagram))}
	c.recovery = recovery{
		credits:      min(int(remote.Credits), MaxCredits),
		reorder:      minReorder,
		peerAckDelay: time.Duration(remote.AckDelay) * time.Microsecond,
		receiveBound: int(remote.ReceiveWindow),
		maxProbe:     c.pingEvery,
	}
	c.first, c.next = 1, 1
	c.in = received{}
	c.control()
	c.lastHeard = e.now
	e.connected++
	switch {
	case !c.dialed: // the MTU is probed once the client has shown to be connected
	case c.exchange == nil:
		c.probeMTU()
	default:
		c.ping(0) // and once that was answered: a server that does not know its client yet drops all
	}
	c.Touch()
	c.event(PeerConnected, "")
	c.layer.Up(remote)
}

func (c *Conn) event(kind EventKind, reason string) {
	if f := c.e.cfg.Events; f != nil {
		f(Event{kind, c.addr, reason})
	}
}

// control puts a new path under a controller of its own.
func (c *Conn) control() {
	c.controller = c.e.cfg.Controller(cc.Path{Datagram: wire.MinHello, LinkRate: c.e.caps.LinkRate})
	c.steered = !cc.Constant(c.controller)
	c.refreshWindow()
}

func (c *Conn) refreshWindow() {
	c.window = c.controller.Window()
	c.rate = c.controller.Rate()
	if c.receiveBound > 0 {
		c.window = min(c.window, c.receiveBound)
	}
}

// disconnect leaves the connected state: nothing is in flight any more.
func (c *Conn) disconnect() {
	if c.state == Connected {
		c.e.connected--
	}
	c.recovery = recovery{}
	c.stopWaiting()
	c.rate = 0
	c.in = received{}
	c.measuring = false
	c.unguard()
	c.e.timers.stop(&c.timer)
}

// Expired is the connection's timer.
func (c *Conn) Expired() {
	switch c.state {
	case Connecting:
		if c.dialed {
			c.helloTimer()
		} else {
			if c.exchange.failure == nil { // else it was counted
				c.e.stats.HandshakesFailed++
			}
			c.disconnect() // it took too long
			c.e.forget(c)
		}
	case Waiting:
		c.rested()
	case Connected:
		c.tend()
	}
}

// tend does what a connection's time has come for.
func (c *Conn) tend() {
	now := c.e.now
	if c.silentFor(now - c.lastHeard) {
		c.lost("peer "+c.addr.String()+" fell silent", nil)
		return
	}
	if g := c.guard; g != nil && (g.Spent() || g.doubt != 0 && now >= g.doubt) {
		c.unprotected()
		return
	}
	c.lossTimer()
	if c.inFlight == 0 && now-c.lastSent >= min(idleAfter, c.pingEvery) {
		c.giveUpSoundings()
		c.shrink()
		c.layer.Quiet()
	}
	if c.dialed && now-c.lastHeard >= c.pingEvery && c.inFlight == 0 && c.layer.Next() <= 0 && c.layer.Next() != Padded {
		c.ping(0)
	}
	if c.mtuRetryAt != 0 && now >= c.mtuRetryAt {
		c.probeMTU()
	}
	if c.check != nil {
		if at, ok := c.check.deadline(); ok && now >= at {
			c.silent()
		}
	}
	c.Touch()
	c.schedule()
}

// silentFor says whether a peer that was not heard for a time is given up. What it
// said during a pause of this host's may still wait behind that of others, though
// not if this host never has time for all.
func (c *Conn) silentFor(d time.Duration) bool {
	return d >= c.timeout && (!c.e.behind || d >= 2*c.timeout)
}

// schedule sets the timer to the earliest deadline, unless it fires before.
func (c *Conn) schedule() {
	// Most often it does: of what this connection waits for most is later than what
	// has happened last by granularity or more, and the rest is compared here.
	if at := c.timer.at; c.timer.IsSet() && c.lossAt == 0 && (c.in.pending == 0 || at <= c.in.due) &&
		at <= min(c.lastHeard, c.lastSent)+granularity && (c.mtuRetryAt == 0 || at <= c.mtuRetryAt) && c.check == nil {
		return
	}
	at := c.lastHeard + c.timeout
	if c.dialed && c.inFlight == 0 {
		at = min(at, c.lastHeard+c.pingEvery)
	}
	if c.in.pending > 0 {
		at = min(at, c.in.due)
	}
	if loss, ok := c.recovery.deadline(); ok {
		at = min(at, loss)
	} else if c.packets != nil {
		at = min(at, c.lastSent+idleAfter)
	}
	if c.mtuRetryAt != 0 {
		at = min(at, c.mtuRetryAt)
	}
	if c.check != nil {
		if check, ok := c.check.deadline(); ok {
			at = min(at, check)
		}
	}
	if c.guard != nil && c.guard.doubt != 0 {
		at = min(at, c.guard.doubt)
	}
	if at <= c.e.now { // overdue: the transport takes no more for now
		at = c.e.now + granularity
	}
	c.e.timers.soonen(&c.timer, at)
}

// Ping has the remote acknowledge something, and the layer's Measured be called
// with the next round trip that is measured, of that or of another packet. The
// connection must be connected.
func (c *Conn) Ping() {
	c.measuring = true
	c.ping(0)
}

// ping sends a message whose arrival is all that matters, in a datagram of size
// bytes unless that is 0.
func (c *Conn) ping(size int) {
	if size > 0 {
		size -= c.overhead() + c.tag
	}
	c.ackNow = true
	c.layer.Ping(size)
}

// Full says whether the layer has no room for more: Data is then dropped as if it
// had been lost, save what it acknowledges, and comes again.
func (c *Conn) Full(full bool) { c.full = full }

// unprotected ends a sealed connection whose keys are spent, or whose remote was said
// to be gone, and has not denied it.
func (c *Conn) unprotected() {
	if c.guard.Spent() {
		c.lost("the keys of the connection to "+c.addr.String()+" are used up", nil)
	} else {
		c.lost(c.guard.why.Reason, c.guard.why.Cause)
	}
}

// gone is lost as somebody says who knows the connection's secret; on a sealed one that
// proves nothing.
func (c *Conn) gone(reason string, cause error) {
	if c.guard != nil {
		c.doubted(Failure{Reason: reason, Cause: cause})
	} else {
		c.lost(reason, cause)
	}
}

// lost is fail for a connection that ended without a word.
func (c *Conn) lost(reason string, cause error) {
	c.e.stats.PeersFailed++
	c.event(PeerLost, reason)
	c.fail(&Failure{Code: codeUnavailable, Reason: reason, Cause: cause})
}

// fail ends the connection without a word to the remote: it is gone, or has
// forgotten us. One that was dialed may connect anew.
func (c *Conn) fail(why *Failure) {
	refused := c.dialed && c.exchange != nil && !c.exchange.heard
	c.disconnect()
	if !c.dialed {
		c.e.forget(c)
		return
	}
	c.renew()
	if refused { // we thought to be connected, but the handshake was not over
		c.rest()
	}
	c.layer.Down(why)
}

// Close tells the remote that the connection ends, and forgets it.
func (c *Conn) Close(reason string) {
	if c.state == Connected {
		if t := c.e.nextPacket(); t != nil {
			n := c.controlHeader(t, wire.Close)
			c.sendControl(t, n+wire.PutReason(t.Head[n:], codeUnavailable, reason))
		}
	}
	c.disconnect()
	c.e.forget(c)
}
