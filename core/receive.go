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
	message := &e.message
	messages := uint64(0)
	var err error
	for len(rest) > 0 && m.conn.State() == packet.Connected {
		if rest, err = message.Parse(rest); err != nil {
			e.stats.Malformed(err)
			break
		}
		messages++
		e.taking.unread = len(rest)
		m.take(message)
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
	if t := &e.taking; t.unread > 0 {
		rest := t.hand[len(t.hand)-t.unread:]
		t.unread = 0
		t.mux.Take(rest)
	}
}

// take takes in one message. The side that dialed is the client.
func (m *mux) take(message *wire.Message) {
	dialed := m.conn.Dialed()
	switch {
	case message.Kind == wire.Response && dialed:
		m.response(message)
	case message.Kind == wire.Request && !dialed:
		m.request(message)
	case message.Kind == wire.Cancel && !dialed:
		m.cancel(message)
	case message.Kind == wire.CloseSession && !dialed:
		m.closeSession(message)
	case message.Kind == wire.Ping:
	default:
		m.e.stats.RxMalformed++
	}
}
