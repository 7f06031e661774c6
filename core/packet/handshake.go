package packet

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// The handshake is a room with one way in and one way out: a control datagram
// comes in, decide looks at it, at nothing but what is known already, and changes
// nothing; the decision comes out, and is carried out.

// handshake is what the room has at hand.
type handshake struct {
	cookies cookies
	// The body of the datagram in hand, so that a flood allocates nothing.
	hello  wire.HelloBody
	accept wire.AcceptBody
	crypto wire.CryptoBody
}

// decision is what a control datagram leads to.
type decision struct {
	do     act
	conn   *Conn // whom it concerns; nil: nobody yet
	code   uint8
	reason string
	cookie [wire.CookieSize]byte
	path   [wire.PathDataSize]byte
	level  Level
}

type act uint8

const (
	ignore     act = iota
	unknown        // it is of no connection, or not of this one's remote
	elsewhere      // perhaps it is another queue's
	refuse         // a Hello: with code and reason
	challenge      // a Hello: it shall come again with cookie
	recookie       // the same, for the one it brought is not good
	admit          // a Hello: a new client
	admitAgain     // a Hello: the Accept that answered it was lost
	reflected      // our own came back
	comeAgain      // we shall come again with cookie
	connected
	refused // with code and reason
	reset
	closed      // with reason
	answerPath  // the server asks with path whether we are here
	pathAnswers // it has the answer to a question of ours
	forged      // it is not sealed as it has to be
	exchanged   // of a handshake, at level
	tooMany     // a Hello: as many handshakes are under way as there may be
)

// acceptKey identifies a client's attempt to connect.
type acceptKey struct {
	addr         netip.AddrPort
	index, token uint32
}

// control takes in a datagram that is neither Data nor Ack. What follows the
// fixed header is rest.
func (e *Endpoint) control(h *wire.Header, rest []byte, rx *transport.RxPacket) {
	e.stats.RxControl++
	if h.Flags&wire.FlagSealed != 0 {
		e.controlSealed(h, rx)
		return
	}
	if h.Flags&wire.FlagChecksum == 0 || wire.Verify(rx.Data) != nil {
		e.stats.RxChecksum++
		return
	}
	d, err := e.decide(h, rest, rx)
	if err != nil {
		e.stats.Malformed(err)
		return
	}
	e.carryOut(&d, rx)
}

// malformed counts a datagram that did not parse, and tells a client of another
// version which one is spoken here.
func (e *Endpoint) malformed(h *wire.Header, rest []byte, err error, rx *transport.RxPacket) {
	if err != wire.ErrVersion {
		e.stats.Malformed(err)
		return
	}
	e.stats.RxVersion++
	if rest == nil || wire.Verify(rx.Data) != nil {
		return
	}
	if d, err := e.decideForeign(h, rest, rx); err == nil {
		e.carryOut(&d, rx)
	}
}

// decide is the way in.
func (e *Endpoint) decide(h *wire.Header, rest []byte, rx *transport.RxPacket) (decision, error) {
	switch h.Type {
	case wire.Hello:
		return e.decideHello(rest, rx)
	case wire.Retry:
		return e.decideRetry(h, rest, rx)
	case wire.Accept:
		err := e.accept.Parse(rest)
		if e.cfg.Security != nil {
			d := e.connecting(refused, h, rx)
			d.code, d.reason = codeFailedPrecondition, plainServer
			return d, err
		}
		return e.connecting(connected, h, rx), err
	case wire.Refuse:
		return e.decideRefuse(h, rest, rx)
	case wire.Reset:
		return e.decideReset(rest, rx)
	case wire.Close:
		_, reason, err := wire.ParseReason(rest)
		d := e.connectedTo(closed, h, rx)
		if d.conn != nil {
			d.reason = string(reason)
		}
		return d, err
	case wire.PathChallenge:
		data, err := wire.ParsePath(rest)
		d := e.connectedTo(answerPath, h, rx)
		if d.conn != nil && !d.conn.dialed {
			d = decision{do: unknown}
		}
		d.path = data
		return d, err
	case wire.PathResponse:
		data, err := wire.ParsePath(rest)
		c := e.connAt(h.Connection, h.Token)
		if c == nil || !c.asked(data) {
			return decision{do: unknown}, err
		}
		if c.misfits(h) {
			return decision{do: forged}, err
		}
		return decision{do: pathAnswers, conn: c}, err
	case wire.Crypto, wire.PostCrypto:
		return e.decideCrypto(h, rest, rx)
	}
	return decision{}, nil
}

func (e *Endpoint) decideHello(rest []byte, rx *transport.RxPacket) (decision, error) {
	hello := &e.hello
	if err := hello.Parse(rest, len(rx.Data)); err != nil {
		return decision{}, err
	}
	if e.cfg.Security != nil {
		e.crypto = wire.CryptoBody{}
		if err := e.crypto.Piece.Parse(rest[wire.HelloSize:]); err != nil {
			return decision{}, err
		}
	}
	if c := e.connAt(hello.Connection, hello.Token); c != nil && c.dialed && c.addr == rx.From && !e.own(rx) {
		return decision{do: reflected, conn: c}, nil
	}
	good := e.cookies.check(rx.From, hello, e.now)
	// The answer is shorter than the Hello, so that no cookie is needed. But another
	// queue's Hello that came back is to be told by its cookie.
	if e.cfg.ClientOnly && (e.caps.Queues < 2 || good) {
		return decision{do: refuse, code: codeUnavailable, reason: "nobody serves here: this endpoint only dials"}, nil
	}
	if why := e.unlike(hello.Params.Features); why != "" {
		return decision{do: refuse, code: codeFailedPrecondition, reason: why}, nil
	}
	if c := e.accepted[acceptKey{rx.From, hello.Connection, hello.Token}]; c != nil {
		return decision{do: admitAgain, conn: c}, nil
	}
	switch {
	case !good:
		d := decision{do: challenge, cookie: e.cookies.make(rx.From, hello.Connection, hello.Token, e.now)}
		if hello.Cookie != [wire.CookieSize]byte{} {
			d.do = recookie // forged; or honest, but old or from before a restart
		}
		return d, nil
	case e.draining:
		return decision{do: refuse, code: codeUnavailable, reason: "server is shutting down"}, nil
	case len(e.accepted) >= e.cfg.Peers:
		return decision{do: refuse, code: codeResourceExhausted, reason: "server has as many clients as it is configured for (peers)"}, nil
	}
	switch {
	case e.cfg.Security == nil:
	case len(e.crypto.Data) == 0:
		return decision{}, nil // it says nothing: nothing is kept of it
	case e.crypto.Number > 0:
		return decision{do: elsewhere}, nil // perhaps another queue has the first piece
	case e.proving >= e.cfg.Handshakes:
		return decision{do: tooMany}, nil
	}
	return decision{do: admit}, nil
}

func (e *Endpoint) decideRetry(h *wire.Header, rest []byte, rx *transport.RxPacket) (decision, error) {
	cookie, err := wire.ParseCookie(rest)
	d := e.connecting(comeAgain, h, rx)
	if c := d.conn; c != nil && e.cookies.made(rx.From, c.index, c.token, cookie) && !e.own(rx) {
		return decision{do: reflected, conn: c}, err // by another queue's endpoint
	}
	d.cookie = cookie
	return d, err
}

func (e *Endpoint) decideRefuse(h *wire.Header, rest []byte, rx *transport.RxPacket) (decision, error) {
	code, reason, err := wire.ParseReason(rest)
	d := e.connecting(refused, h, rx)
	if d.conn != nil {
		d.code, d.reason = code, fmt.Sprintf("%v refused the connection: %s", d.conn.addr, reason)
	}
	return d, err
}

func (e *Endpoint) decideReset(rest []byte, rx *transport.RxPacket) (decision, error) {
	var body wire.ResetBody
	if err := body.Parse(rest); err != nil {
		return decision{}, err
	}
	c := e.dialed[rx.From]
	if c == nil || c.state != Connected || c.remoteIndex != body.Connection || c.remoteToken != body.Token {
		// Perhaps it is a client that forgot us.
		c = e.accepted[acceptKey{rx.From, body.Connection, body.Token}]
	}
	if c == nil || c.state != Connected {
		return decision{do: elsewhere}, nil // a Reset does not name our connection
	}
	return decision{do: reset, conn: c}, nil
}

// decideForeign decides on what is the same in all versions: a Refuse, or a Hello.
func (e *Endpoint) decideForeign(h *wire.Header, rest []byte, rx *transport.RxPacket) (decision, error) {
	if h.Type == wire.Refuse {
		return e.decideRefuse(h, rest, rx)
	}
	err := e.hello.Parse(rest, len(rx.Data))
	return decision{do: refuse, code: codeFailedPrecondition, reason: otherVersion}, err
}

// connecting decides for do if there is a dialed connection whose handshake h
// belongs to.
func (e *Endpoint) connecting(do act, h *wire.Header, rx *transport.RxPacket) decision {
	c := e.connAt(h.Connection, h.Token)
	if c == nil || c.addr != rx.From || c.state != Connecting {
		return decision{do: unknown}
	}
	return decision{do: do, conn: c}
}

// connectedTo decides for do if there is a connection to h's sender.
func (e *Endpoint) connectedTo(do act, h *wire.Header, rx *transport.RxPacket) decision {
	c := e.connAt(h.Connection, h.Token)
	if c == nil || c.addr != rx.From || c.state != Connected {
		return decision{do: unknown}
	}
	if c.misfits(h) {
		return decision{do: forged}
	}
	return decision{do: do, conn: c}
}

// carryOut is the way out.
func (e *Endpoint) carryOut(d *decision, rx *transport.RxPacket) {
	c, hello := d.conn, &e.hello
	switch d.do {
	case unknown:
		e.stats.RxUnknown++
	case forged:
		e.stats.RxForged++
	case tooMany:
		e.stats.HandshakesDeferred++
	case exchanged:
		c.exchange.take(d.level, &e.crypto, rx)
	case elsewhere:
		e.misrouted(-1, rx)
	case refuse:
		e.refuse(d, rx)
	case recookie, challenge:
		if d.do == recookie {
			e.stats.RxBadCookie++
		}
		e.reply(rx, wire.Retry, hello.Connection, hello.Token, d.cookie[:], 0)
	case admit:
		e.admit(rx)
	case admitAgain:
		if e.cfg.Security != nil {
			if c.exchange != nil && len(e.crypto.Data) > 0 {
				c.exchange.take(LevelInitial, &e.crypto, rx)
			}
			return
		}
		if c.in.next == 0 {
			c.lastHeard = e.now // until it is connected a client says nothing else
		}
		c.sendAccept()
	case reflected:
		c.reflected()
	case comeAgain:
		c.comeAgain(d.cookie)
	case connected:
		e.timers.stop(&c.timer)
		c.local = rx.To
		c.establish(e.accept.Connection, e.accept.Token, &e.accept.Params)
	case refused:
		c.refused(&Failure{Code: d.code, Reason: d.reason})
	case reset:
		e.stats.ResetsTaken++
		c.gone(fmt.Sprintf("peer %v has restarted or given us up", c.addr), nil)
	case closed:
		c.event(PeerClosed, wire.Printable(d.reason))
		c.fail(&Failure{Code: codeUnavailable, Reason: fmt.Sprintf("peer %v closed the connection: %s", c.addr, d.reason)})
	case answerPath:
		c.answerPath(d.path, len(rx.Data))
	case pathAnswers:
		c.pathAnswers(rx)
	}
}

// admit makes the server's side of a connection, which answers from where it was
// asked.
func (e *Endpoint) admit(rx *transport.RxPacket) {
	hello := &e.hello
	route, err := e.tr.Resolve(rx.From, rx.To)
	if err != nil {
		e.stats.HellosRefused++
		return
	}
	c := e.newConn(path{addr: rx.From, route: route, local: rx.To, remoteIndex: hello.Connection, remoteToken: hello.Token})
	c.layer = e.layers(c)
	e.accepted[acceptKey{rx.From, hello.Connection, hello.Token}] = c
	e.mostAccepted = max(e.mostAccepted, len(e.accepted))
	if e.cfg.Security != nil {
		e.prove(c, rx)
		return
	}
	c.establish(hello.Connection, hello.Token, &hello.Params)
	c.sendAccept()
}

func (c *Conn) sendAccept() {
	t := c.e.nextPacket()
	if t == nil {
		return // the client asks again
	}
	n := c.controlHeader(t, wire.Accept)
	body := wire.AcceptBody{Connection: c.index, Token: c.token, Params: c.e.params(c.layer)}
	n += body.Put(t.Head[n:])
	c.sendControl(t, n)
}

// wantsChecksum says whether datagrams need a CRC on our account.
func (e *Endpoint) wantsChecksum() bool { return e.cfg.Checksum || !e.caps.Integrity }

// params is what this endpoint, and a layer, say of themselves.
func (e *Endpoint) params(layer Layer) wire.Params {
	p := wire.Params{
		MaxDatagram:   uint32(min(e.cfg.MaxDatagram, e.caps.MaxPayload)),
		Credits:       uint16(e.cfg.Credits),
		AckDelay:      uint16(e.cfg.AckDelay / time.Microsecond),
		ReceiveWindow: uint32(e.caps.RecvBuffer / 2), // the kernel counts its own overhead too
		KeepAlive:     uint32(e.cfg.KeepAlive / time.Millisecond),
	}
	if e.wantsChecksum() {
		p.Features |= wire.FeatureChecksum
	}
	if e.cfg.Security != nil {
		p.Features |= e.cfg.Security.Feature()
	}
	layer.Offer(&p)
	return p
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

func (e *Endpoint) refuse(d *decision, rx *transport.RxPacket) {
	var buf [3 + wire.MaxReason]byte
	n := wire.PutReason(buf[:], d.code, d.reason)
	e.stats.HellosRefused++
	e.reply(rx, wire.Refuse, e.hello.Connection, e.hello.Token, buf[:n], 0)
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
	wire.Seal(packet.Head, nil)
	e.stats.TxControl++
	e.place(nil, 0, 1)
	e.strays = append(e.strays, route)
}
