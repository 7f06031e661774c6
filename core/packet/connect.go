package packet

import (
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine/wire"
)

// The client's side of a handshake: attempts, each of Hellos until one is
// answered, and pauses between them.

const (
	// The first wait for an answer to Hello, and the longest; each is twice the one
	// before.
	helloInterval    = 20 * time.Millisecond
	maxHelloInterval = time.Second
	// maxHastened is how many Retries are answered at once; more wait for the
	// timer, lest two sides that do not agree on a cookie keep each other busy.
	maxHastened = 3

	// The pause after an attempt that failed, and the longest. Each is 1.6 times
	// the one before, give or take a fifth, as in gRPC, but shorter: in a data
	// centre an attempt is cheap, and a server is back soon.
	MinBackoff = 50 * time.Millisecond
	MaxBackoff = 5 * time.Second
)

// hello is an attempt under way.
type hello struct {
	cookie   [wire.CookieSize]byte
	begun    time.Duration
	again    time.Duration // when to send Hello next
	wait     time.Duration
	hastened int // Retries answered at once
}

// backoff is the pause after so many failures in a row.
func (e *Endpoint) backoff(failures int) time.Duration {
	d := MinBackoff
	for ; failures > 1 && d < MaxBackoff; failures-- {
		d = d * 8 / 5
	}
	d = min(d, MaxBackoff)
	return d - d/5 + time.Duration(e.random.Uint64()%uint64(2*d/5))
}

// Connect begins an attempt, on a dialed connection for which none is under way,
// and which is not connected. It does not wait for the end of a pause.
func (c *Conn) Connect() {
	if c.state == Idle || c.state == Waiting {
		c.state = Connecting
		c.hello = hello{begun: c.e.now, again: c.e.now, wait: helloInterval}
		c.e.timers.set(&c.timer, c.e.now)
	}
}

// helloTimer sends Hello again, or gives up.
func (c *Conn) helloTimer() {
	e, h := c.e, &c.hello
	if e.now-h.begun >= e.cfg.ConnectTimeout {
		c.attemptFailed(&Failure{Code: codeUnavailable, Reason: c.Unanswered()}, false)
		return
	}
	if c.exchange != nil && c.remoteToken != 0 { // which says again itself what is lost
		e.timers.set(&c.timer, h.begun+e.cfg.ConnectTimeout)
		return
	}
	if e.now >= h.again {
		if c.sendHello(); c.state != Connecting {
			return
		}
		h.again = e.now + h.wait
		h.wait = min(2*h.wait, maxHelloInterval)
	}
	e.timers.set(&c.timer, min(h.again, h.begun+e.cfg.ConnectTimeout))
}

// Unanswered says, after ConnectTimeout, why there is no connection.
func (c *Conn) Unanswered() string {
	if c.hello.cookie != [wire.CookieSize]byte{} {
		return fmt.Sprintf("%v answers, but no handshake with it was over within %v: it is overloaded, or much is lost on the way",
			c.addr, c.e.cfg.ConnectTimeout)
	}
	return fmt.Sprintf("no answer from %v within %v; is a server running there?", c.addr, c.e.cfg.ConnectTimeout)
}

// sendHello sends a Hello; or, once the server knows our address, as many as hold what
// there is to say.
func (c *Conn) sendHello() {
	if c.e.cfg.Security == nil || c.hello.cookie == [wire.CookieSize]byte{} {
		c.sendHelloWith(&wire.Piece{})
		return
	}
	if c.exchange == nil {
		if err := c.beginExchange(); err != nil {
			c.attemptFailed(&Failure{Code: codeFailedPrecondition, Reason: fmt.Sprintf("connect to %v: %v", c.addr, err), Cause: err}, true)
			return
		}
		c.exchange.proceed()
	}
	if c.exchange != nil {
		c.exchange.transmit(true)
	}
}

// sendHelloWith sends a Hello, and a piece of the handshake in it; false: not now.
func (c *Conn) sendHelloWith(p *wire.Piece) bool {
	t := c.e.nextPacket()
	if t == nil {
		return false // the timer tries again
	}
	h := wire.Header{Type: wire.Hello, Flags: wire.FlagChecksum}
	n := h.Put(t.Head)
	body := wire.HelloBody{Connection: c.index, Token: c.token, Params: c.e.params(c.layer), Cookie: c.hello.cookie}
	n += body.Put(t.Head[n:])
	n += p.Put(t.Head[n:])
	clear(t.Head[n:wire.MinHello])
	c.sendControl(t, wire.MinHello)
	return true
}

// comeAgain takes in the cookie that Hello has to bring.
func (c *Conn) comeAgain(cookie [wire.CookieSize]byte) {
	if c.exchange != nil && c.remoteToken != 0 {
		return // of an earlier Hello
	}
	c.hello.cookie = cookie
	if c.hello.hastened++; c.hello.hastened <= maxHastened {
		c.hello.again = c.e.now
		c.e.timers.set(&c.timer, c.e.now)
	}
}

// refused ends an attempt that the remote or its host has answered with no.
func (c *Conn) refused(why *Failure) { c.attemptFailed(why, true) }

// attemptFailed ends an attempt that led to nothing.
func (c *Conn) attemptFailed(why *Failure, answered bool) {
	c.renew()
	c.rest()
	c.layer.Failed(why, answered)
}

// rest begins the pause after an attempt that led to nothing.
func (c *Conn) rest() {
	c.state = Waiting
	c.failures++
	c.e.timers.set(&c.timer, c.e.now+c.e.backoff(c.failures))
}

// rested is the end of the pause after an attempt that failed.
func (c *Conn) rested() {
	c.state = Idle
	c.layer.Rested()
}
