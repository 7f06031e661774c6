package core

import (
	"fmt"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// receive takes in one datagram.
func (e *Endpoint) receive(rx *transport.RxPacket) {
	h := &e.rxHeader
	rest, err := h.Parse(rx.Data)
	if err != nil {
		e.malformed(h, rest, err, rx)
		return
	}
	if h.Connection>>queueShift != e.queue && h.Type != wire.Hello && h.Type != wire.Reset {
		e.misrouted(int(h.Connection>>queueShift), rx)
		return
	}
	if h.Type != wire.Data && h.Type != wire.Ack {
		e.takeControl(h, rest, rx)
		return
	}
	p := e.peerAt(h.Connection, h.Token)
	if p == nil {
		e.stats.RxUnknown++
		e.reset(h, rx)
		return
	}
	elsewhere := p.addr != rx.From
	if p.state != peerConnected || elsewhere && p.dialed {
		e.stats.RxUnknown++
		return
	}
	if p.checksum && (h.Flags&wire.FlagChecksum == 0 || wire.Verify(rx.Data) != nil) {
		e.stats.RxChecksum++
		return
	}
	if elsewhere {
		e.stats.RxUnknown++
		p.elsewhere(h, rx)
		return
	}
	p.lastHeard = e.now
	if p.check != nil {
		p.check.present()
	}
	if h.Acks.Words > 0 {
		if p.acknowledged(&h.Acks, rx.Waited); p.state != peerConnected {
			return
		}
	}
	p.touch()
	if h.Type == wire.Ack {
		e.stats.RxControl++
		return
	}
	e.stats.RxData++
	if !p.accepts(h, rx) {
		return
	}
	e.hand = rx.Data
	p.takeAll(rest)
}

// takeAll takes in the messages of the datagram in hand.
func (p *peer) takeAll(rest []byte) {
	e := p.ep
	m := &e.message
	messages := uint64(0)
	var err error
	for len(rest) > 0 && p.state == peerConnected {
		if rest, err = m.Parse(rest); err != nil {
			e.stats.RxMalformed++
			break
		}
		messages++
		e.unread = len(rest)
		p.take(m)
		if p.urgent.length >= overlapMin && p.dialed && p.urgent.length >= p.outstanding/2 {
			p.overlap()
		}
	}
	e.unread = 0
	e.stats.RxMessages += messages
}

// resume ends what a handler or completion left that did not return.
func (e *Endpoint) resume() {
	e.injected = false
	e.Left()
	if e.unread > 0 {
		rest := e.hand[len(e.hand)-e.unread:]
		e.unread = 0
		if p := e.peerAt(e.rxHeader.Connection, e.rxHeader.Token); p != nil {
			p.takeAll(rest)
		}
	}
}

// queueShift splits connection indexes: the bits above it name the transport
// queue, since the host's choice of queue for a packet is no more than a hint.
const queueShift = 24

// misrouted hands on a packet that belongs to another queue's endpoint.
func (e *Endpoint) misrouted(queue int, rx *transport.RxPacket) {
	if e.cfg.Misrouted == nil || queue >= e.caps.Queues || e.caps.Queues < 2 || e.injected {
		e.stats.RxUnknown++
		if h := &e.rxHeader; h.Type == wire.Data || h.Type == wire.Ack {
			e.reset(h, rx) // perhaps of a former process, with more queues
		}
		return
	}
	e.stats.RxMisrouted++
	e.cfg.Misrouted(queue, rx)
}

// Inject takes in a packet that another queue's endpoint received and found to
// be this one's. The next Poll acts on it. rx is not kept, unless a handler does
// not return; it is then read once more, by the next Inject or Receive.
func (e *Endpoint) Inject(rx *transport.RxPacket) {
	e.resume()
	e.injected = true
	e.receive(rx)
	e.injected = false
}

// overlapMin is the least number of requests worth a datagram of their own.
const overlapMin = 32

// overlap sends new requests before all responses at hand are taken in. Else
// client and server would take turns: all calls in flight would travel together,
// one side idle while the other works.
func (p *peer) overlap() {
	p.flush()
	p.ep.sendBurst()
}

// accepts notes the packet number of a Data packet; false means it was seen
// before.
func (p *peer) accepts(h *wire.Header, rx *transport.RxPacket) bool {
	e, in := p.ep, &p.in
	if in.next == 0 && !p.dialed {
		p.probeMTU()
	}
	number := expand(h.Number, in.next)
	if number >= in.next {
		in.since = e.now - rx.Waited
	}
	fresh := in.add(number)
	if in.pending == 0 {
		in.due = e.now + e.cfg.AckDelay
	}
	in.pending++
	if h.Flags&wire.FlagAckNow != 0 {
		in.now = true
	}
	if !fresh {
		e.stats.RxDuplicate++
		in.now = true // its acknowledgement was lost
		return false
	}
	if rx.ECN == transport.CE {
		in.ce++
	}
	return true
}

// take takes in one message. The side that dialed is the client.
func (p *peer) take(m *wire.Message) {
	switch {
	case m.Kind == wire.Response && p.dialed:
		p.response(m)
	case m.Kind == wire.Request && !p.dialed:
		p.request(m)
	case m.Kind == wire.Cancel && !p.dialed:
		p.cancel(m)
	case m.Kind == wire.CloseSession && !p.dialed:
		p.closeSession(m)
	case m.Kind == wire.Ping:
	default:
		p.ep.stats.RxMalformed++
	}
}

// otherVersion is made once, so that a flood does not make it allocate.
var otherVersion = fmt.Sprintf("this endpoint speaks protocol version %d", wire.Version)

// malformed counts a datagram that did not parse, and tells a client of another
// version which one is spoken here.
func (e *Endpoint) malformed(h *wire.Header, rest []byte, err error, rx *transport.RxPacket) {
	if err != wire.ErrVersion {
		e.stats.RxMalformed++
		return
	}
	e.stats.RxVersion++
	if rest == nil || wire.Verify(rx.Data) != nil {
		return
	}
	if h.Type == wire.Refuse {
		e.takeRefuse(h, rest, rx)
	} else if e.rxHello.Parse(rest, len(rx.Data)) == nil {
		e.refuse(rx, e.rxHello.Connection, e.rxHello.Token, FailedPrecondition, otherVersion)
	}
}
