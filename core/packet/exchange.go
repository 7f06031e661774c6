package packet

import (
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// The handshake of a sealed connection follows the cookie: two sides send each other
// what their Handshakes say, cut in numbered pieces, each until it has arrived. A
// client's first pieces go in its Hellos, since the server keeps nothing before.

const (
	// failureLinger is how long a server goes on to answer a handshake that failed, for
	// the answer may be lost.
	failureLinger = time.Second
	// afterwards is how long a client waits for what the server may say once the
	// handshake is done: tickets for another time.
	afterwards = 5 * time.Second
)

// exchange is a handshake of a connection that is sealed, or will be.
type exchange struct {
	c     *Conn
	drive Handshake
	place int   // in Endpoint.exchanges
	timer Timer // sends again what has not arrived
	wait  time.Duration

	out      []said // by number
	arrived  uint64 // bits: of those
	hastened uint64 // bits: those that were sent again because later ones had arrived

	in       []said // by number: what came; consumed before next
	next     int
	have     uint64 // bits: what came
	level    Level  // the highest at which something came
	tell     bool   // something came, and the other side does not know
	held     []transport.RxPacket
	finished bool // the other side says no more
	proving  bool // it counts in Endpoint.proving

	handshake, application *guard
	remote                 wire.Identity
	until                  time.Duration // accepted: when what has not arrived is given up; 0: not done
	missed                 bool          // accepted: something sealed came before it was done, and was dropped
	heard                  bool          // dialed: something was opened with the connection's keys: the server is done
	failure                *Failure      // it failed, and the other side is told so
}

// said is a piece of what one side says.
type said struct {
	level Level
	data  []byte
	sent  bool
}

// beginExchange begins the exchange of a connection whose remote has shown its address.
func (c *Conn) beginExchange() error {
	e := c.e
	own := wire.Identity{Connection: c.index, Token: c.token, Params: e.params(c.layer)}
	params := make([]byte, wire.IdentitySize)
	own.Put(params)
	drive, err := e.cfg.Security.Begin(Beginning{Dialed: c.dialed, Peer: c.addr, Name: c.name, Params: params, Wake: e.tr.Wake})
	if err != nil {
		return err
	}
	x := &exchange{c: c, drive: drive, place: len(e.exchanges), wait: helloInterval, proving: !c.dialed}
	if x.proving {
		e.proving++
	}
	x.timer.owner = x
	c.exchange = x
	e.exchanges = append(e.exchanges, c)
	return nil
}

// end is the end of an exchange.
func (c *Conn) end() {
	x, e := c.exchange, c.e
	if x == nil {
		return
	}
	c.exchange = nil
	x.drive.Close()
	x.proved()
	e.timers.stop(&x.timer)
	last := len(e.exchanges) - 1
	e.exchanges[x.place] = e.exchanges[last]
	e.exchanges[x.place].exchangeAt(x.place)
	e.exchanges[last] = nil
	e.exchanges = e.exchanges[:last]
}

func (c *Conn) exchangeAt(place int) {
	if c.exchange != nil {
		c.exchange.place = place
	}
}

// proved notes that it is no longer unknown whether the client will prove who it is.
func (x *exchange) proved() {
	if x.proving {
		x.proving = false
		x.c.e.proving--
	}
}

// unguard forgets keys, and a handshake that is under way.
func (c *Conn) unguard() {
	c.end()
	c.guard, c.peer = nil, nil
}

// proceed goes on with all handshakes.
func (e *Endpoint) proceed() {
	for i := len(e.exchanges) - 1; i >= 0; i-- {
		if i >= len(e.exchanges) {
			continue // others have ended meanwhile
		}
		x := e.exchanges[i].exchange
		x.proceed()
		if x.c.exchange == x {
			x.speak()
		}
	}
}

// proceed does what the handshake asks for.
func (x *exchange) proceed() {
	for x.c.exchange == x && x.failure == nil {
		switch step := x.drive.Next(); step.Kind {
		case StepNone:
			if x.release(); x.c.exchange == x {
				x.served()
			}
			return
		case StepSend:
			x.say(step.Level, step.Bytes)
		case StepKeys:
			g := &guard{Protection: step.Keys}
			if step.Level == LevelHandshake {
				x.handshake = g
			} else {
				x.application = g
			}
		case StepParams:
			if err := x.remote.Parse(step.Bytes); err != nil {
				why := fmt.Sprintf("what %v says of itself does not decode: %v", x.c.addr, err)
				x.fail(&Failure{Code: codeFailedPrecondition, Reason: why})
			}
		case StepDone:
			x.done()
		case StepFailed:
			x.fail(step.Failure)
		}
	}
}

// say queues what is to be said at a level, in as few pieces as can be.
func (x *exchange) say(level Level, b []byte) {
	for len(b) > 0 {
		n := len(x.out)
		if n == 0 || x.out[n-1].sent || x.out[n-1].level != level || len(x.out[n-1].data) == wire.MaxPiece {
			if n == wire.MaxPieces {
				why := fmt.Sprintf("the handshake is longer than %d KiB: send shorter certificate chains", wire.MaxPieces*wire.MaxPiece>>10)
				x.fail(&Failure{Code: codeResourceExhausted, Reason: why})
				return
			}
			x.out = append(x.out, said{level: level})
			n++
		}
		last := &x.out[n-1]
		size := min(len(b), wire.MaxPiece-len(last.data))
		last.data = append(last.data, b[:size]...)
		b = b[size:]
	}
}

// done begins the connection, whose remote is authenticated.
func (x *exchange) done() {
	c, e := x.c, x.c.e
	remote := x.remote
	if x.application == nil || remote.Token == 0 || remote.Connection != c.remoteIndex || remote.Token != c.remoteToken {
		x.fail(&Failure{Code: codeUnauthenticated, Reason: fmt.Sprintf("somebody on the way to %v has changed names", c.addr)})
		return
	}
	if !c.dialed {
		x.proved()
		x.forgetLevels(LevelHandshake) // the client would not have ended it without them
		x.until = e.now + afterwards
	}
	c.guard, c.peer = x.application, x.drive.Peer()
	e.timers.stop(&c.timer)
	c.establish(remote.Connection, remote.Token, &remote.Params)
	if x.missed && c.exchange == x {
		x.send(LevelApplication, &wire.Piece{})
	}
}

// hold keeps what a server has sealed with keys that its client is about to know; false: it is
// nothing of the kind.
func (x *exchange) hold(rx *transport.RxPacket) bool {
	if !x.c.dialed || x.heard || x.c.addr != rx.From || len(x.held) == wire.MaxPieces {
		return false
	}
	kept := *rx
	kept.Data = slices.Clone(rx.Data)
	x.held = append(x.held, kept)
	return true
}

// release takes in what was held, once the keys are there.
func (x *exchange) release() {
	if x.handshake == nil {
		return
	}
	held := x.held
	x.held = nil
	for i := range held {
		var h wire.Header
		if _, err := h.Parse(held[i].Data); err == nil {
			x.c.e.controlSealed(&h, &held[i])
		}
	}
}

// served ends an exchange in which a server that is done has nothing more to say.
func (x *exchange) served() {
	if x.until != 0 && len(x.out) == bits.OnesCount64(x.arrived) {
		x.c.end()
	}
}

// forgetLevels takes what was said up to a level as arrived.
func (x *exchange) forgetLevels(upTo Level) {
	for i := range x.out {
		if x.out[i].level <= upTo {
			x.arrived |= 1 << i
		}
	}
	x.handshake = nil
}

// confirmed notes that something was opened with the connection's keys.
func (c *Conn) confirmed() {
	x := c.exchange
	if !c.dialed || x.heard {
		return
	}
	x.heard = true
	c.failures = 0
	x.forgetLevels(LevelHandshake)
	c.e.timers.set(&x.timer, c.e.now+afterwards)
	c.probeMTU()
	c.Touch()
}

// askAgain sends again what came before the server knew who the client is, and was dropped.
func (c *Conn) askAgain() {
	if c.inFlight > 0 && c.largestAcked == 0 {
		c.probe()
	}
}

// Expired says again what has not arrived, or ends the exchange.
func (x *exchange) Expired() {
	if x.heard || x.until != 0 && x.c.e.now >= x.until {
		x.c.end()
		return
	}
	x.wait = min(2*x.wait, maxHelloInterval)
	x.transmit(true)
}

// speak says what was not said yet, or that something came.
func (x *exchange) speak() {
	if x.failure != nil {
		if x.tell {
			x.tell = false
			x.sendFailure()
		}
		return
	}
	x.transmit(false)
	if x.tell && x.send(x.level, &wire.Piece{}) {
		x.tell = false
	}
	if x.finished && x.heard {
		x.c.end()
	}
}

// transmit sends the pieces that were not sent yet, or all that have not arrived.
func (x *exchange) transmit(all bool) {
	pending := false
	for i := range x.out {
		p := &x.out[i]
		if x.arrived>>i&1 != 0 {
			continue
		}
		pending = true
		if p.sent && !all {
			continue
		}
		ends := p.level == LevelApplication && i == len(x.out)-1
		p.sent = x.send(p.level, &wire.Piece{Number: uint8(i), Ends: ends, Data: p.data}) || p.sent
	}
	if pending && x.c.remoteToken != 0 && !x.timer.IsSet() {
		x.c.e.timers.set(&x.timer, x.c.e.now+x.wait)
	}
}

// send sends a piece, or an empty one to say what came; false: not now.
func (x *exchange) send(level Level, p *wire.Piece) bool {
	c := x.c
	if c.remoteToken == 0 {
		return level == LevelInitial && len(p.Data) > 0 && c.sendHelloWith(p)
	}
	typ, g := wire.Crypto, x.handshake
	if level == LevelApplication {
		typ, g = wire.PostCrypto, c.guard
	}
	if level != LevelInitial && g == nil {
		return false
	}
	t := c.e.nextPacket()
	if t == nil {
		return false
	}
	var n int
	if level == LevelInitial {
		g = nil
		n = (&wire.Header{Type: typ, Flags: wire.FlagChecksum, Connection: c.remoteIndex, Token: c.remoteToken}).Put(t.Head)
	} else {
		n = g.header(t.Head, typ, 0, c.remoteIndex, c.remoteToken)
	}
	body := wire.CryptoBody{Connection: c.index, Token: c.token, Have: x.have, Piece: *p}
	n += body.Put(t.Head[n:])
	c.sendControlOn(t, n, c.route, g)
	x.tell = x.tell && level < x.level
	return true
}

// fail gives up, and tells the other side.
func (x *exchange) fail(why *Failure) {
	c := x.c
	x.failure = why
	x.drive.Close()
	x.sendFailure()
	switch {
	case !c.dialed && c.state == Connecting:
		c.e.stats.HandshakesFailed++
		c.e.timers.stop(&x.timer)
		c.e.timers.set(&c.timer, c.e.now+failureLinger)
	case c.state == Connecting:
		c.refused(why)
	default:
		c.fail(why)
	}
}

func (x *exchange) sendFailure() {
	level := LevelInitial
	if x.handshake != nil {
		level = LevelHandshake
	}
	var b [3 + wire.MaxReason]byte
	n := wire.PutReason(b[:], x.failure.Code, x.failure.Reason)
	if x.c.remoteToken != 0 {
		x.send(level, &wire.Piece{Failed: true, Data: b[:n]})
	}
}

// take takes in a Crypto or PostCrypto that came at a level, or what a Hello holds of
// one.
func (x *exchange) take(level Level, body *wire.CryptoBody, rx *transport.RxPacket) {
	c := x.c
	switch {
	case x.failure != nil:
		x.tell = true
		return
	case level < LevelApplication && (x.heard || x.until != 0):
		return // from before both sides were done
	}
	if body.Failed {
		x.failed(level, body.Data)
		return
	}
	if c.remoteToken == 0 {
		c.remoteIndex, c.remoteToken, c.local = body.Connection, body.Token, rx.To
	}
	x.learn(level, body.Have)
	if level == LevelApplication && c.dialed {
		c.confirmed()
		if len(body.Data) == 0 {
			c.askAgain()
		}
	}
	if len(body.Data) == 0 || c.exchange != x {
		return
	}
	x.level, x.tell = max(x.level, level), true
	if level == LevelInitial && x.handshake != nil {
		return // all of it came long ago
	}
	if x.have>>body.Number&1 != 0 {
		return
	}
	x.have |= 1 << body.Number
	if missing := int(body.Number) + 1 - len(x.in); missing > 0 {
		x.in = append(x.in, make([]said, missing)...)
	}
	x.in[body.Number] = said{level: level, data: slices.Clone(body.Data)}
	for x.next < len(x.in) && x.in[x.next].data != nil {
		p := &x.in[x.next]
		x.next++
		x.drive.Consume(p.level, p.data)
		*p = said{}
	}
	if body.Ends {
		x.finished = true
	}
	x.proceed() // at once: what the datagram after this one holds may be sealed
}

// learn takes in which pieces of ours have arrived. Who speaks at a level can say so of
// what was said at that level and lower ones.
func (x *exchange) learn(level Level, have uint64) {
	for i := range x.out {
		if x.out[i].level <= level && x.out[i].sent {
			x.arrived |= have & (1 << i)
		}
	}
	for i := range bits.Len64(x.arrived) {
		if bit := uint64(1) << i; x.arrived&bit == 0 && x.hastened&bit == 0 {
			x.hastened |= bit
			x.out[i].sent = false // it was overtaken
		}
	}
	if c := x.c; !c.dialed && c.state == Connected && len(x.out) == bits.OnesCount64(x.arrived) {
		c.end()
	}
}

// failed takes in that the other side has given up. Without proof it is believed only
// as long as there could be none.
func (x *exchange) failed(level Level, reason []byte) {
	c := x.c
	code, text, err := wire.ParseReason(reason)
	if err != nil || level == LevelInitial && x.handshake != nil || x.heard {
		return
	}
	if !c.dialed {
		c.e.stats.HandshakesFailed++
		c.disconnect()
		c.e.forget(c)
		return
	}
	why := &Failure{Code: code, Reason: fmt.Sprintf("%v refused the connection: %s", c.addr, text)}
	if c.state == Connecting {
		c.refused(why)
	} else {
		c.fail(why)
	}
}
