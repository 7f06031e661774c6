package core

import (
	"encoding/binary"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// What is damaged on its way is acknowledged all the same, where nobody looks at
// checksums, and a stream that lacks a message, or does not know that it has ended,
// would wait for ever. So both sides of a stream tell each other from time to time how
// far they know that the other has come.

// lostMessage is how a stream ends of which a message was damaged.
const lostMessage = "a message of the stream was damaged on its way: see checksum"

// askStreams has those streams ask whose turn it is: each as often as a call does, not
// all at once. It runs with tidy.
func (e *Endpoint) askStreams() {
	patience := e.patience()
	e.asking = (e.asking + 1) % patience
	for c := range e.packets.Conns() {
		if c.State() != packet.Connected || c.Checked() {
			continue
		}
		m := c.Layer().(*mux)
		m.eachSession(func(s *Session) {
			if s.streams != nil {
				askThose(s.streams.entries, e.asking, patience)
			}
		})
		for i := range m.served {
			if s := m.served[i].session; s != nil {
				askThose(s.streams, e.asking, patience)
			}
		}
	}
}

func askThose(entries []streamEntry, turn, patience uint16) {
	for i := int(turn); i < len(entries); i += int(patience) {
		if s := entries[i].stream; s != nil && s.in.grant == nil {
			s.in.grant = s.window()
			p := s.in.grant
			p.copied = binary.LittleEndian.AppendUint32(p.copied[:0], s.out.arrived())
			p.data = p.copied
			s.grantWindow()
		}
	}
}

// arrived is the place behind all that the other side has acknowledged.
func (o *outflow) arrived() uint32 {
	if o.oldest != nil {
		return o.oldest.place
	}
	return o.next
}

// asked takes in how far the other side knows this one to have come: what it has
// acknowledged was here, so that what is not here was damaged.
func (s *Stream) asked(body []byte) {
	if len(body) < wire.StreamAskSize || s.in.drains || s.in.closed {
		return
	}
	if int32(binary.LittleEndian.Uint32(body)-s.in.next) > 0 && s.nextMissing() {
		s.fail(DataLoss, lostMessage)
	}
}

// nextMissing says whether the message to show next is not here, or not whole.
func (s *Stream) nextMissing() bool {
	if s.in.held == nil {
		return true
	}
	h := s.in.held.live()[0]
	return h.place != s.in.next || h.in != nil
}

// askedOfNone answers a question about a stream that is over: how it ended was damaged.
func (m *mux) askedOfNone(message *wire.Message) {
	if message.Kind != wire.StreamWindow || len(message.Body) < wire.StreamAskSize {
		return
	}
	names := streamNames{message.Session, message.Generation, message.Slot, message.Method}
	switch {
	case !m.conn.Dialed():
		m.tellReset(names, uint8(DataLoss), lostMessage)
	case m.controls < maxControls:
		m.tellReset(names, uint8(Canceled), "the client has ended the stream")
	}
}
