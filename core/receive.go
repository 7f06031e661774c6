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

// Take takes in the messages of a datagram.
func (m *mux) Take(rest []byte) {
	e := m.e
	e.taking.mux, e.taking.hand = m, rest
	messages := uint64(0)
	for len(rest) > 0 && m.conn.State() == packet.Connected {
		var body []byte
		var full *wire.Message
		lead, end, ok := wire.ParseMessage(rest)
		if ok {
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
		messages++
		e.taking.unread = len(rest)
		m.take(lead, body, full)
		if m.queue.length >= overlapMin && m.queue.length >= m.outstanding/2 && m.conn.Dialed() {
			// New requests leave before all responses at hand are taken in. Else client and
			// server would take turns: all calls in flight would travel together, one side
			// idle while the other works.
			m.conn.SendNow()
		}
	}
	e.taking.unread = 0
	e.stats.RxMessages += messages
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

// take takes in one message. full has it decoded, unless it is without flags. The side
// that dialed is the client.
func (m *mux) take(lead wire.MessageLead, body []byte, full *wire.Message) {
	kind, dialed := lead.Kind(), m.conn.Dialed()
	switch {
	case kind == wire.Response && dialed:
		m.response(lead, body, full)
	case kind == wire.Request && !dialed:
		m.request(lead, body, full)
	case kind == wire.Cancel && !dialed:
		m.cancel(lead)
	case kind == wire.CloseSession && !dialed:
		m.closeSession(lead)
	case kind == wire.Ping:
	case kind >= wire.StreamHeader && m.streams > 0:
		m.stream(full) // it has it: these kinds are not for ParseMessage
	default:
		m.e.stats.RxMalformed++
	}
}
