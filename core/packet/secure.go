package packet

import (
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// What control datagrams are about where connections are sealed: who may connect at
// all, and what a handshake says.

// features are those that both sides must have alike.
const features = wire.FeatureTLS | wire.FeaturePSK

const plainServer = "the server speaks plain text only, and this side does not: give it tls or psk, or dial without"

// unlike says why a client with these features cannot be served; empty: it can.
func (e *Endpoint) unlike(theirs uint32) string {
	own := uint32(0)
	if e.cfg.Security != nil {
		own = e.cfg.Security.Feature()
	}
	if theirs &= features; theirs == own {
		return ""
	}
	switch own {
	case wire.FeatureTLS:
		return "this server demands TLS: dial with tls"
	case wire.FeaturePSK:
		return "this server demands a pre-shared key: dial with psk"
	}
	return "this server speaks plain text only: dial without tls and psk, or give it one of these"
}

// misfits says that a datagram is not sealed although its connection is, or the
// reverse.
func (c *Conn) misfits(h *wire.Header) bool {
	return (c.guard != nil) != (h.Flags&wire.FlagSealed != 0)
}

// controlSealed takes in a sealed datagram that is neither Data nor Ack.
func (e *Endpoint) controlSealed(h *wire.Header, rx *transport.RxPacket) {
	c := e.connAt(h.Connection, h.Token)
	if c == nil {
		e.stats.RxUnknown++
		return
	}
	g := c.guard
	if h.Type == wire.Crypto {
		g = nil
		if x := c.exchange; x != nil {
			if g = x.handshake; g == nil && x.hold(rx) {
				return
			}
		}
	}
	if g == nil {
		e.stats.RxUnknown++ // its keys are not known yet, or not any more
		return
	}
	rest, ok := e.openControl(g, h, rx)
	if !ok {
		return
	}
	d, err := e.decide(h, rest, rx)
	if err != nil {
		e.stats.Malformed(err)
		return
	}
	e.carryOut(&d, rx)
}

// decideCrypto decides on what a handshake says.
func (e *Endpoint) decideCrypto(h *wire.Header, rest []byte, rx *transport.RxPacket) (decision, error) {
	if err := e.crypto.Parse(rest); err != nil {
		return decision{}, err
	}
	sealed := h.Flags&wire.FlagSealed != 0
	c := e.connAt(h.Connection, h.Token)
	switch {
	case c == nil || c.exchange == nil || c.addr != rx.From:
		return decision{do: unknown}, nil
	case h.Type == wire.PostCrypto && !sealed:
		return decision{do: forged}, nil
	case c.remoteToken != 0 && (c.remoteIndex != e.crypto.Connection || c.remoteToken != e.crypto.Token):
		return decision{do: unknown}, nil
	}
	d := decision{do: exchanged, conn: c}
	if sealed {
		d.level = LevelHandshake
	}
	if h.Type == wire.PostCrypto {
		d.level = LevelApplication
	}
	return d, nil
}

// prove begins the handshake of a client that has shown its address, with the first it
// says. It has ConnectTimeout for all of it.
func (e *Endpoint) prove(c *Conn, rx *transport.RxPacket) {
	c.state = Connecting
	if err := c.beginExchange(); err != nil {
		e.stats.HandshakesFailed++
		e.forget(c)
		return
	}
	e.timers.set(&c.timer, e.now+e.cfg.ConnectTimeout)
	c.exchange.take(LevelInitial, &e.crypto, rx)
}
