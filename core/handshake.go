package core

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// The first wait for an answer to Hello, and the longest; each is twice the one
// before.
const (
	helloInterval    = 20 * time.Millisecond
	maxHelloInterval = time.Second
	// maxHastened is how many Retries are answered at once; more wait for the
	// timer, lest two sides that do not agree on a cookie keep each other busy.
	maxHastened = 3
)

// hello is the client's side of a handshake under way.
type hello struct {
	cookie   [wire.CookieSize]byte
	begun    time.Duration
	again    time.Duration // when to send Hello next
	wait     time.Duration
	hastened int // Retries answered at once
}

// acceptKey identifies a client's attempt to connect.
type acceptKey struct {
	addr         netip.AddrPort
	index, token uint32
}

// wantsChecksum says whether datagrams need a CRC on our account.
func (e *Endpoint) wantsChecksum() bool { return e.cfg.Checksum || !e.caps.Integrity }

// params is what this endpoint says of itself.
func (e *Endpoint) params() wire.Params {
	p := wire.Params{
		MaxDatagram:   uint32(min(e.cfg.MaxDatagram, e.caps.MaxPayload)),
		Credits:       uint16(e.cfg.Credits),
		Slots:         uint16(e.cfg.Slots),
		Sessions:      uint16(min(e.cfg.Sessions, 1<<16-1)),
		AckDelay:      uint16(e.cfg.AckDelay / time.Microsecond),
		MaxMessage:    uint32(e.cfg.MaxMessage),
		ReceiveWindow: uint32(e.caps.RecvBuffer / 2), // the kernel counts its own overhead too
		KeepAlive:     uint32(e.cfg.KeepAlive / time.Millisecond),
	}
	if e.wantsChecksum() {
		p.Features |= wire.FeatureChecksum
	}
	return p
}

// helloTimer sends Hello again, or gives up.
func (p *peer) helloTimer() {
	e, h := p.ep, &p.hello
	if e.now-h.begun >= e.cfg.ConnectTimeout {
		p.unanswered()
		return
	}
	if e.now >= h.again {
		p.sendHello()
		h.again = e.now + h.wait
		h.wait = min(2*h.wait, maxHelloInterval)
	}
	e.timers.set(&p.timer, min(h.again, h.begun+e.cfg.ConnectTimeout))
}

func (p *peer) sendHello() {
	e := p.ep
	t := e.nextPacket()
	if t == nil {
		return // the timer tries again
	}
	h := wire.Header{Type: wire.Hello, Flags: wire.FlagChecksum}
	n := h.Put(t.Head)
	body := wire.HelloBody{Connection: p.index, Token: p.token, Params: e.params(), Cookie: p.hello.cookie}
	n += body.Put(t.Head[n:])
	clear(t.Head[n:wire.MinHello])
	p.sendControl(t, wire.MinHello)
}

// takeControl takes in a datagram that is neither Data nor Ack. What follows the
// fixed header is rest.
func (e *Endpoint) takeControl(h *wire.Header, rest []byte, rx *transport.RxPacket) {
	e.stats.RxControl++
	if h.Flags&wire.FlagChecksum == 0 || wire.Verify(rx.Data) != nil {
		e.stats.RxChecksum++
		return
	}
	var err error
	switch h.Type {
	case wire.Hello:
		err = e.takeHello(rest, rx)
	case wire.Retry:
		err = e.takeRetry(h, rest, rx)
	case wire.Accept:
		err = e.takeAccept(h, rest, rx)
	case wire.Refuse:
		err = e.takeRefuse(h, rest, rx)
	case wire.Reset:
		err = e.takeReset(rest, rx)
	case wire.Close:
		err = e.takeClose(h, rest, rx)
	case wire.PathChallenge:
		err = e.takePathChallenge(h, rest, rx)
	case wire.PathResponse:
		err = e.takePathResponse(h, rest, rx)
	}
	if err != nil {
		e.stats.RxMalformed++
	}
}

func (e *Endpoint) takeHello(rest []byte, rx *transport.RxPacket) error {
	hello := &e.rxHello
	if err := hello.Parse(rest, len(rx.Data)); err != nil {
		return err
	}
	if p := e.peerAt(hello.Connection, hello.Token); p != nil && p.dialed && p.addr == rx.From && !e.own(rx) {
		e.reflected(p)
		return nil
	}
	// The answer is shorter than the Hello, so that no cookie is needed. But another
	// queue's Hello that came back is to be told by its cookie.
	if e.cfg.ClientOnly && (e.caps.Queues < 2 || e.cookies.check(rx.From, hello, e.now)) {
		e.refuse(rx, hello.Connection, hello.Token, Unavailable, "nobody serves here: this endpoint only dials")
		return nil
	}
	key := acceptKey{rx.From, hello.Connection, hello.Token}
	if p := e.accepted[key]; p != nil {
		if p.in.next == 0 {
			p.lastHeard = e.now // until it is connected a client says nothing else
		}
		p.sendAccept() // the first one was lost
		return nil
	}
	if !e.cookies.check(rx.From, hello, e.now) {
		if hello.Cookie != [wire.CookieSize]byte{} {
			e.stats.RxBadCookie++ // or honest, but old or from before a restart
		}
		cookie := e.cookies.make(rx.From, hello.Connection, hello.Token, e.now)
		e.reply(rx, wire.Retry, hello.Connection, hello.Token, cookie[:], 0)
		return nil
	}
	switch {
	case e.draining:
		e.refuse(rx, hello.Connection, hello.Token, Unavailable, "server is shutting down")
	case len(e.accepted) >= e.cfg.Peers:
		e.refuse(rx, hello.Connection, hello.Token, ResourceExhausted, "server has as many clients as it is configured for (peers)")
	default:
		e.accept(key, rx.To, &hello.Params)
	}
	return nil
}

// accept makes the server's side of a connection, which answers from local.
func (e *Endpoint) accept(key acceptKey, local netip.Addr, params *wire.Params) {
	route, err := e.tr.Resolve(key.addr, local)
	if err != nil {
		e.stats.HellosRefused++
		return
	}
	p := e.newPeer(key.addr, route)
	p.local = local
	e.accepted[key] = p
	e.tidy.mostAccepted = max(e.tidy.mostAccepted, len(e.accepted))
	p.establish(key.index, key.token, params)
	p.sendAccept()
}

func (p *peer) sendAccept() {
	t := p.ep.nextPacket()
	if t == nil {
		return // the client asks again
	}
	h := wire.Header{Type: wire.Accept, Flags: wire.FlagChecksum, Connection: p.remoteIndex, Token: p.remoteToken}
	n := h.Put(t.Head)
	body := wire.AcceptBody{Connection: p.index, Token: p.token, Params: p.ep.params()}
	body.Params.Slots = uint16(p.slots)
	n += body.Put(t.Head[n:])
	p.sendControl(t, n)
}

// connecting returns the dialed peer whose handshake h belongs to.
func (e *Endpoint) connecting(h *wire.Header, rx *transport.RxPacket) *peer {
	p := e.peerAt(h.Connection, h.Token)
	if p == nil || p.addr != rx.From || p.state != peerConnecting {
		e.stats.RxUnknown++
		return nil
	}
	return p
}

func (e *Endpoint) takeRetry(h *wire.Header, rest []byte, rx *transport.RxPacket) error {
	cookie, err := wire.ParseCookie(rest)
	if err != nil {
		return err
	}
	if p := e.connecting(h, rx); p != nil {
		if e.cookies.made(rx.From, p.index, p.token, cookie) && !e.own(rx) {
			e.reflected(p) // by another queue's endpoint
			return nil
		}
		p.hello.cookie = cookie
		if p.hello.hastened++; p.hello.hastened <= maxHastened {
			p.hello.again = e.now
			e.timers.set(&p.timer, e.now)
		}
	}
	return nil
}

func (e *Endpoint) takeAccept(h *wire.Header, rest []byte, rx *transport.RxPacket) error {
	var body wire.AcceptBody
	if err := body.Parse(rest); err != nil {
		return err
	}
	if p := e.connecting(h, rx); p != nil {
		e.timers.stop(&p.timer)
		p.local = rx.To
		p.establish(body.Connection, body.Token, &body.Params)
		p.changed(nil)
		p.eachSession((*Session).connected)
	}
	return nil
}

func (e *Endpoint) takeRefuse(h *wire.Header, rest []byte, rx *transport.RxPacket) error {
	code, reason, err := wire.ParseReason(rest)
	if err != nil {
		return err
	}
	if p := e.connecting(h, rx); p != nil {
		p.refused(&Error{Code: failing(code), Message: fmt.Sprintf("%v refused the connection: %s", p.addr, reason)})
	}
	return nil
}

func (e *Endpoint) takeReset(rest []byte, rx *transport.RxPacket) error {
	var body wire.ResetBody
	if err := body.Parse(rest); err != nil {
		return err
	}
	p := e.dialed[rx.From]
	if p == nil || p.state != peerConnected || p.remoteIndex != body.Connection || p.remoteToken != body.Token {
		// Perhaps it is a client that forgot us.
		p = e.accepted[acceptKey{rx.From, body.Connection, body.Token}]
	}
	if p == nil {
		e.misrouted(-1, rx) // a Reset does not name our connection
		return nil
	}
	e.stats.ResetsTaken++
	p.lost(fmt.Sprintf("peer %v has restarted or given us up", p.addr), nil)
	return nil
}

func (e *Endpoint) takeClose(h *wire.Header, rest []byte, rx *transport.RxPacket) error {
	_, reason, err := wire.ParseReason(rest)
	if err != nil {
		return err
	}
	p := e.peerAt(h.Connection, h.Token)
	if p == nil || p.addr != rx.From || p.state != peerConnected {
		e.stats.RxUnknown++
		return nil
	}
	p.event(PeerClosed, string(reason))
	p.fail(&Error{Code: Unavailable, Message: fmt.Sprintf("peer %v closed the connection: %s", p.addr, reason)})
	return nil
}

// close tells the remote that the connection ends, and forgets it.
func (p *peer) close(reason string) {
	if p.state == peerConnected {
		if t := p.ep.nextPacket(); t != nil {
			h := wire.Header{Type: wire.Close, Flags: wire.FlagChecksum, Connection: p.remoteIndex, Token: p.remoteToken}
			n := h.Put(t.Head)
			n += wire.PutReason(t.Head[n:], uint8(Unavailable), reason)
			p.sendControl(t, n)
		}
	}
	p.disconnect()
	p.ep.forget(p)
	p.failPings(&Error{Code: Canceled, Message: reason})
}

// reset answers a packet of a connection that does not exist.
func (e *Endpoint) reset(h *wire.Header, rx *transport.RxPacket) {
	if len(rx.Data) < wire.HeaderSize+wire.ChecksumSize+wire.ResetSize {
		return // the answer would be longer than the question
	}
	if e.echoed(h, rx.From) {
		e.stats.RxReflected++
		return // the answer might come back, too, and be believed
	}
	body := wire.ResetBody{Connection: h.Connection, Token: h.Token, Number: h.Number}
	var buf [wire.ResetSize]byte
	body.Put(buf[:])
	e.stats.ResetsSent++
	e.reply(rx, wire.Reset, 0, 0, buf[:], 0)
}

func (e *Endpoint) refuse(rx *transport.RxPacket, index, token uint32, code Code, reason string) {
	var buf [3 + wire.MaxReason]byte
	n := wire.PutReason(buf[:], uint8(code), reason)
	e.stats.HellosRefused++
	e.reply(rx, wire.Refuse, index, token, buf[:n], 0)
}

// reply sends a control datagram, padded to size, to where rx came from, keeping
// no state.
func (e *Endpoint) reply(rx *transport.RxPacket, t wire.Type, index, token uint32, body []byte, size int) {
	packet := e.nextPacket()
	if packet == nil {
		return
	}
	route, err := e.tr.Resolve(rx.From, rx.To)
	if err != nil {
		return
	}
	h := wire.Header{Type: t, Flags: wire.FlagChecksum, Connection: index, Token: token}
	n := h.Put(packet.Head)
	n += copy(packet.Head[n:], body)
	if n < size {
		clear(packet.Head[n:size])
		n = size
	}
	packet.Head = packet.Head[:n]
	packet.Route = route
	packet.ECN = transport.NotECT
	e.burst.numbered[e.burst.ready].peer = nil
	wire.Seal(packet.Head, nil)
	e.stats.TxControl++
	e.place()
	e.strays = append(e.strays, route)
}
