package core

import (
	"bytes"

	"github.com/peregrine-rpc/peregrine/wire"
)

// response takes in a response, or a fragment of one.
func (m *mux) response(lead wire.MessageLead, body []byte, full *wire.Message) {
	if s := m.client(lead); s != nil && int(lead.Slot()) < len(s.slots) {
		if record := s.slots[lead.Slot()]; record.active != 0 && record.sequence == lead.Sequence() {
			m.respond(s, m.e.slots.at(record.active), lead.Code(), body, full)
			return
		}
	}
	m.e.stats.RxStale++
}

// client returns the session that a message names, if it still exists.
func (m *mux) client(lead wire.MessageLead) *Session {
	if int(lead.Session()) >= len(m.clients) {
		return nil
	}
	if s := m.clients[lead.Session()].session; s != nil && s.generation == lead.Generation() {
		return s
	}
	return nil
}

func (m *mux) respond(s *Session, slot *clientSlot, code uint8, body []byte, message *wire.Message) {
	e := m.e
	c := slot.call
	view := true
	if message != nil && message.Flags&wire.FlagFragment != 0 {
		if slot.in == nil {
			if int64(message.Total) > e.cfg.MaxMessage {
				s.abandon(c, tooLong(int(message.Total), e.cfg.MaxMessage))
				return
			}
			slot.in = e.assemblies.get()
			slot.in.begin(message, sized(c.Buf, int(message.Total)))
		}
		if !slot.in.add(message) {
			return
		}
		body, view = slot.in.buf, false
	}
	if code != uint8(OK) {
		if slot.out.stride != 0 && !slot.out.acked {
			s.tellCanceled(slot) // refused while it arrived; the rest may have found room
		}
		c.Err = responseError(code, string(body))
	} else if view && c.Buf != nil {
		c.Response = sized(c.Buf, len(body))
		copy(c.Response, body)
	} else {
		c.Response = body
		if e.cfg.Poison && view {
			c.Response, c.view = bytes.Clone(body), true
		}
	}
	end := s.vacate(c)
	if s.waiting.head != nil {
		s.startWaiting()
	}
	e.complete(c, end)
}

// sized returns buf at length n, or new memory if it is too small.
func sized(buf []byte, n int) []byte {
	if cap(buf) >= n {
		return buf[:n]
	}
	return make([]byte, n)
}
