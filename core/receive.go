package core

import (
	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Receiving, from top to bottom: what a datagram holds, a message, and then the
// server's half (request.go) or the client's (response.go).

// overlapMin is the least number of requests worth a datagram of their own.
const overlapMin = 32

// taking is the datagram whose messages are being handled.
type taking struct {
	mux    *mux
	hand   []byte // all of them
	unread int    // bytes of hand, in messages that were not begun
}

// Take takes in the messages of a datagram. The side that dialed is the client.
func (m *mux) Take(rest []byte) {
	lead, end, plain := wire.ParseMessage(rest)
	if !plain || end != len(rest) {
		m.takeAll(rest)
		return
	}
	m.e.stats.RxMessages++ // the only one, after which nothing is left to resume with
	switch kind, dialed := lead.Kind(), m.conn.Dialed(); {
	case kind == wire.Response && dialed:
		m.response(lead, rest[wire.MessageHeaderSize:], nil)
		if m.queue.length >= overlapMin {
			m.overlap()
		}
	case kind == wire.Request && !dialed:
		m.request(lead, rest[wire.MessageHeaderSize:], nil)
	default:
		m.e.stats.RxMalformed++
	}
}

// Expects is where the fragment lies that follows the one that came last.
func (m *mux) Expects(n int) (memory []byte, head int) {
	if m.filling == nil {
		return nil, 0
	}
	return m.filling.expects(n)
}

// TakeApart takes in a fragment, which copies itself no further if it is where it belongs.
// Any other message is not taken in from there: it might end the one whose memory that is.
func (m *mux) TakeApart(head, body []byte) bool {
	full := &m.e.message
	if !full.ParseApart(head, body) || full.Lead() != m.filling.lead {
		return false
	}
	m.e.stats.RxMessages++
	if !m.conn.Dialed() {
		m.request(full.Lead(), body, full)
		return true
	}
	m.response(full.Lead(), body, full)
	if m.queue.length >= overlapMin {
		m.overlap()
	}
	return true
}

// takeAll is Take of any number of messages, of any kind.
func (m *mux) takeAll(rest []byte) {
	e, dialed := m.e, m.conn.Dialed()
	e.taking.mux, e.taking.hand = m, rest
	messages := uint64(0)
	for len(rest) > 0 && m.conn.State() == packet.Connected {
		var body []byte
		var full *wire.Message // unless it is plain
		lead, end, plain := wire.ParseMessage(rest)
		if plain {
			body, rest = rest[wire.MessageHeaderSize:end:end], rest[end:]
		} else {
			full = &e.message
			var err error
			if rest, err = full.Parse(rest); err != nil {
				e.stats.Malformed(err)
				break
			}
			lead, body = full.Lead(), full.Body
		}
		e.taking.unread = len(rest)
		messages++
		switch kind := lead.Kind(); {
		case kind == wire.Response && dialed:
			m.response(lead, body, full)
		case kind == wire.Request && !dialed:
			m.request(lead, body, full)
		default:
			m.other(lead, full)
		}
		if m.queue.length >= overlapMin {
			m.overlap()
		}
	}
	e.taking.unread = 0
	e.stats.RxMessages += messages
}

// overlap, where overlapMin requests wait or more, has new ones leave before all responses at hand are taken in. Else client
// and server would take turns: all calls in flight would travel together, one side idle
// while the other works.
func (m *mux) overlap() {
	if m.queue.length >= m.outstanding/2 && m.conn.Dialed() {
		m.conn.SendNow()
	}
}

// other takes in a message that is no request or response, or not this side's. full is
// there for all kinds that are not for ParseMessage.
func (m *mux) other(lead wire.MessageLead, full *wire.Message) {
	dialed := m.conn.Dialed()
	switch kind := lead.Kind(); {
	case kind == wire.Cancel && !dialed:
		m.cancel(lead)
	case kind == wire.CloseSession && !dialed:
		m.closeSession(lead)
	case kind == wire.CloseSession:
		m.expelled(lead)
	case kind == wire.Ping:
	case kind >= wire.StreamHeader && m.streams > 0:
		m.stream(full)
	default:
		m.e.stats.RxMalformed++
	}
}

// resume ends what a handler or completion left that did not return.
func (e *Endpoint) resume() {
	e.Left()
	e.unshow()
	if t := &e.taking; t.unread > 0 {
		rest := t.hand[len(t.hand)-t.unread:]
		t.unread = 0
		t.mux.Take(rest)
	}
}
