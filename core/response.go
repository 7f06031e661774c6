package core

import (
	"bytes"

	"github.com/peregrine-rpc/peregrine/wire"
)

// response takes in a response, or a fragment of one.
func (m *mux) response(lead wire.MessageLead, body []byte, message *wire.Message) {
	e := m.e
	s := m.client(lead)
	slot := s.awaits(lead)
	if slot == nil {
		e.stats.RxStale++
		return
	}
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
		m.filling = slot.in
		if !slot.in.add(message) {
			return
		}
		body, view = slot.in.buf, false
	}
	if code := lead.Code(); code != uint8(OK) {
		if slot.out.stride != 0 && !slot.out.acked {
			s.tellCanceled(slot) // refused while it arrived; the rest may have found room
		}
		c.Err = responseError(code, string(body))
	} else if view && c.Buf != nil {
		c.Response = sized(c.Buf, len(body))
		copyShort(c.Response, body)
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

// awaits is the request under way that a response answers; nil: there is none.
func (s *Session) awaits(lead wire.MessageLead) *clientSlot {
	if s == nil || int(lead.Slot()) >= len(s.slots) {
		return nil
	}
	record := &s.slots[lead.Slot()]
	if record.active == 0 || record.sequence != lead.Sequence() {
		return nil
	}
	return s.mux.e.slots.at(record.active)
}

// sized returns buf at length n, or new memory if it is too small.
func sized(buf []byte, n int) []byte {
	if cap(buf) >= n {
		return buf[:n]
	}
	return make([]byte, n)
}
