package conform

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Sealing is how connections are sealed (§11).
type Sealing struct {
	packet.Security
	// Server is the address that a client dials, for which a certificate has to be good unless another name was said.
	Server netip.AddrPort
}

const (
	// unnumbered is the bit of nonces by which what is not Data is told from it.
	unnumbered = 1 << 63
	// insist is how often what a handshake says is said again.
	insist = 100 * time.Millisecond
)

// keys are those of a level, with the counters of what is not Data.
type keys struct {
	packet.Protection
	sent, seen uint64
}

// open decrypts a datagram whose number is one near to another.
func (k *keys) open(h *wire.Header, data []byte, near uint64) ([]byte, error) {
	number := expand(h.Number, near)
	if h.Type != wire.Data {
		number = expand(h.Number, k.seen+1)
		k.seen = max(k.seen, number)
		number |= unnumbered
	}
	plain, ok := k.Open(make([]byte, 0, len(data)), data, number)
	if !ok {
		return nil, fmt.Errorf("sends a %s that does not open (§11.2)", typeNames[h.Type])
	}
	return plain, nil
}

// exchange is the handshake of a sealed connection.
type exchange struct {
	drive     packet.Handshake
	out       []piece
	arrived   uint64 // bits: of those
	in        [wire.MaxPieces]*piece
	next      int    // of in, to be taken in
	have      uint64 // bits: of in
	handshake *keys
	remote    wire.Identity
	held      [][]byte // what was sealed with keys that are not known yet
	done      bool
}

// piece is a part of what one side says.
type piece struct {
	level packet.Level
	data  []byte
	sent  bool
}

// begin begins a handshake.
func (p *peer) begin() error {
	own := wire.Identity{Connection: p.index, Token: p.token, Params: p.params()}
	identity := make([]byte, wire.IdentitySize)
	own.Put(identity)
	drive, err := p.sealing.Begin(packet.Beginning{Dialed: !p.serving, Peer: p.sealing.Server, Params: identity, Wake: func() {}})
	if err == nil {
		p.exchange = &exchange{drive: drive}
	}
	return err
}

// agree goes on with a handshake until it is done.
func (p *peer) agree() error {
	last := p.line.Now()
	for until := last + p.patience; p.line.Now() < until; {
		if err := p.proceed(); err != nil || p.exchange.done {
			return err
		}
		again := p.line.Now()-last >= insist
		if again {
			last = p.line.Now()
		}
		if err := p.say(again); err != nil {
			return err
		}
		// What is computed beside tells nobody when it is done.
		if _, err := p.look(time.Millisecond, func() bool { return false }); err != nil {
			return err
		}
	}
	return errors.New("the handshake does not end (§11.1)")
}

// proceed does what the handshake asks for.
func (p *peer) proceed() error {
	x := p.exchange
	for {
		switch step := x.drive.Next(); step.Kind {
		case packet.StepNone:
			return nil
		case packet.StepSend:
			x.cut(step.Level, step.Bytes)
		case packet.StepKeys:
			k := &keys{Protection: step.Keys}
			if step.Level == packet.LevelApplication {
				p.keys = k
				continue
			}
			x.handshake = k
			if err := p.release(); err != nil {
				return err
			}
		case packet.StepParams:
			if err := x.remote.Parse(step.Bytes); err != nil {
				return fmt.Errorf("what it says of itself does not decode: %w (§11.1)", err)
			}
		case packet.StepDone:
			return p.agreed()
		case packet.StepFailed:
			return fmt.Errorf("the handshake fails: %s", step.Failure.Reason)
		}
	}
}

// cut appends what is to be said at a level.
func (x *exchange) cut(level packet.Level, b []byte) {
	for len(b) > 0 {
		n := min(len(b), wire.MaxPiece)
		x.out = append(x.out, piece{level: level, data: append([]byte(nil), b[:n]...)})
		b = b[n:]
	}
}

// agreed begins the connection.
func (p *peer) agreed() error {
	x := p.exchange
	if x.remote.Connection != p.theirIndex || x.remote.Token != p.theirToken {
		return errors.New("its handshake names another connection than its datagrams (§11.1)")
	}
	x.done, p.connected = true, true
	theirs := &x.remote.Params
	p.theirStreams, p.theirSessions, p.theirKeepAlive = theirs.Streams, theirs.Sessions, theirs.KeepAlive
	if p.serving {
		return p.release()
	}
	if err := p.say(true); err != nil {
		return err
	}
	return p.awaited()
}

// awaited has a server show that it is done: until then it drops what is sealed. Packet 1 is spent on that, and those of the
// conversation begin behind it.
func (p *peer) awaited() error {
	if err := p.send(&Datagram{Flags: []string{"ack_now"}, Messages: []Message{{Kind: "ping"}}}); err != nil {
		return err
	}
	p.base = 1
	for until := p.line.Now() + p.patience; p.line.Now() < until; {
		found, err := p.look(insist, func() bool { return p.acked[1] })
		if found || err != nil {
			return err
		}
		if err := errors.Join(p.say(true), p.line.Send(p.sent)); err != nil {
			return err
		}
	}
	return errors.New("after the handshake nothing is acknowledged (§11.1)")
}

// say says what was not said yet, or all that has not arrived.
func (p *peer) say(again bool) error {
	x := p.exchange
	for i := range x.out {
		o := &x.out[i]
		if x.arrived>>i&1 != 0 || o.sent && !again {
			continue
		}
		o.sent = true
		if err := p.tell(o.level, &wire.Piece{Number: uint8(i), Data: o.data}); err != nil {
			return err
		}
	}
	return nil
}

// tell sends a piece.
func (p *peer) tell(level packet.Level, piece *wire.Piece) error {
	x := p.exchange
	if p.theirToken == 0 { // a client that knows no names yet
		body, err := p.hello(nil)
		if err != nil {
			return err
		}
		piece.Put(body[wire.HelloSize:])
		return p.line.Send(readable(&wire.Header{Type: wire.Hello}, body))
	}
	body := make([]byte, wire.MaxCrypto)
	said := wire.CryptoBody{Connection: p.index, Token: p.token, Have: x.have, Piece: *piece}
	body = body[:said.Put(body)]
	h := wire.Header{Type: wire.Crypto, Connection: p.theirIndex, Token: p.theirToken}
	switch level {
	case packet.LevelInitial:
		return p.line.Send(readable(&h, body))
	case packet.LevelApplication:
		h.Type = wire.PostCrypto
		return p.line.Send(p.keys.seal(&h, body))
	}
	return p.line.Send(x.handshake.seal(&h, body))
}

// readable is a control datagram that all can read.
func readable(h *wire.Header, body []byte) []byte {
	h.Flags = wire.FlagChecksum
	data := make([]byte, h.Size())
	h.Put(data)
	data = append(data, body...)
	wire.Seal(data, nil)
	return data
}

// seal makes a datagram that is not Data.
func (k *keys) seal(h *wire.Header, body []byte) []byte {
	k.sent++
	h.Number = uint32(k.sent)
	data := make([]byte, h.Size(), h.Size()+len(body)+wire.TagSize)
	h.Put(data)
	data[2] |= wire.FlagSealed
	return k.Seal(append(data, body...), k.sent|unnumbered)
}

// release takes in what was held for want of keys.
func (p *peer) release() error {
	held := p.exchange.held
	p.exchange.held = nil
	for _, data := range held {
		if err := p.take("", data); err != nil {
			return err
		}
	}
	return nil
}

// crypto takes in a Crypto or PostCrypto.
func (p *peer) crypto(h *wire.Header, rest, data []byte) error {
	x, name := p.exchange, typeNames[h.Type]
	if x == nil || h.Connection != p.index || h.Token != p.token {
		if p.sealing == nil {
			return fmt.Errorf("sends a %s where nothing is to be sealed (§11)", name)
		}
		return nil // of the conversation before
	}
	level := packet.LevelInitial
	if h.Flags&wire.FlagSealed != 0 {
		level = packet.LevelHandshake
		k := x.handshake
		if h.Type == wire.PostCrypto {
			level, k = packet.LevelApplication, p.keys
		}
		if k == nil {
			x.held = append(x.held, data)
			return nil
		}
		var err error
		if rest, err = k.open(h, data, 0); err != nil {
			return err
		}
	} else if h.Type == wire.PostCrypto {
		return fmt.Errorf("sends a %s that is not sealed (§11.2)", name)
	}
	var body wire.CryptoBody
	if err := body.Parse(rest); err != nil {
		return fmt.Errorf("sends a wrong %s: %w (§11.1)", name, err)
	}
	if body.Failed {
		done := x.done && (p.serving || p.acked[1]) // a server looks at a certificate when its client is done
		if code, text, err := wire.ParseReason(body.Data); err == nil && !done {
			return fmt.Errorf("it ends the handshake: code %d, %s", code, wire.Printable(string(text)))
		}
		return nil
	}
	if p.theirToken == 0 {
		p.theirIndex, p.theirToken = body.Connection, body.Token
	}
	if body.Connection != p.theirIndex || body.Token != p.theirToken {
		return fmt.Errorf("sends a %s of another connection (§11.1)", name)
	}
	if extra := body.Have >> len(x.out); extra != 0 {
		return fmt.Errorf("has pieces that were not sent (§11.1)")
	}
	x.arrived |= body.Have
	return p.hear(level, &body.Piece)
}

// hear takes in a piece.
func (p *peer) hear(level packet.Level, said *wire.Piece) error {
	x := p.exchange
	if len(said.Data) == 0 || x.done || x.in[said.Number] != nil {
		return nil
	}
	x.in[said.Number] = &piece{level: level, data: append([]byte(nil), said.Data...)}
	x.have |= 1 << said.Number
	for x.next < len(x.in) && x.in[x.next] != nil {
		x.drive.Consume(x.in[x.next].level, x.in[x.next].data)
		x.next++
	}
	return p.proceed()
}

// greeted takes in the pieces of all Hellos that brought the cookie.
func (p *peer) greeted(hello []byte) error {
	var said wire.Piece
	if err := said.Parse(hello[wire.HeaderSize+wire.ChecksumSize+wire.HelloSize:]); err != nil {
		return fmt.Errorf("sends a wrong piece in a Hello: %w (§11.1)", err)
	}
	return p.hear(packet.LevelInitial, &said)
}

// protects says whether a datagram of a type is sealed in this connection.
func (p *peer) protects(t wire.Type) bool { return p.keys != nil && (t <= wire.Ack || t >= wire.Close) }
