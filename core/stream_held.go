package core

import (
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/wire"
)

// heldSmall is the longest message that is held in memory of its own.
const heldSmall = 1 << 10

// holdings are messages that are held, by place.
type holdings struct {
	items []*held
	first int // of items
}

// held is a message, or what has come of it.
type held struct {
	place    uint32
	arrived  uint32 // bytes
	length   uint32
	kind     wire.Kind
	code     uint8
	deadline time.Duration
	data     []byte
	small    []byte    // memory of a short one, if it is not of the endpoint's buffers
	shared   bool      // it is of those
	bitmap   int64     // bytes for in
	in       *assembly // of one in fragments that is not complete
}

// end is the place behind h.
func (h *held) end() uint32 { return h.place + wire.StreamPlace + h.length }

func (l *holdings) live() []*held { return l.items[l.first:] }

// find returns where among the live a message of a place is, or would be.
func (l *holdings) find(place uint32) (at int, found bool) {
	return slices.BinarySearchFunc(l.live(), place, func(h *held, place uint32) int { return int(int32(h.place - place)) })
}

func (l *holdings) pop() *held {
	h := l.items[l.first]
	l.items[l.first] = nil
	if l.first++; l.first > len(l.items)/2 {
		n := copy(l.items, l.items[l.first:])
		clear(l.items[n:])
		l.items, l.first = l.items[:n], 0
	}
	return h
}

// hold keeps a message, or a fragment of one, until it may be shown.
func (s *Stream) hold(m *wire.Message, place, length uint32) {
	e, in := s.mux.e, &s.in
	if in.held == nil {
		in.held = e.holdings.get()
	}
	at, found := in.held.find(place)
	live := in.held.live()
	switch {
	case found && live[at].in == nil:
		e.stats.RxStale++
		return
	case !found:
		if at > 0 && int32(live[at-1].end()-place) > 0 || at < len(live) && int32(place+wire.StreamPlace+length-live[at].place) > 0 {
			s.fail(Internal, "sent messages that overlap")
			return
		}
		h := s.keep(m, place, length)
		if h == nil {
			s.fail(ResourceExhausted, noMemory)
			return
		}
		in.held.items = slices.Insert(in.held.items, in.held.first+at, h)
	}
	h := in.held.live()[at]
	if h.in != nil && !s.add(h, m) {
		s.fail(ResourceExhausted, noMemory)
		return
	}
	if h.in == nil && h.kind == wire.StreamEnd && s.session != nil {
		s.stopSending() // the server takes no more, whether or not its end may be shown
	}
	s.grantMore()
	s.lookAhead()
}

// keep makes memory for a message; nil: there is none.
func (s *Stream) keep(m *wire.Message, place, length uint32) *held {
	e := s.mux.e
	h := e.helds.get()
	h.place, h.length, h.kind, h.code, h.deadline = place, length, m.Kind, m.Code, timeLeft(e, m)
	h.arrived, h.bitmap = 0, 0
	fragment := m.Flags&wire.FlagFragment != 0
	h.shared = fragment || length > heldSmall
	switch {
	case fragment:
		h.in = e.assemblies.get()
		h.in.restart(int(m.Stride), int(length))
		h.bitmap = int64(length / wire.MinFragment / 8)
		e.buffers.maps += h.bitmap
		s.mux.charge(h.bitmap)
	case h.shared:
		if !s.mux.growHeld(h, int(length)) {
			e.helds.put(h)
			return nil
		}
		copy(h.data, m.Body)
	default:
		if !s.mux.affords(int64(length)) {
			e.helds.put(h)
			return nil
		}
		e.buffers.copies += int64(length)
		s.mux.charge(int64(length))
		h.small = append(h.small[:0], m.Body...)
		h.data = h.small
	}
	return h
}

// affords says whether there is memory for n bytes, if others give up what is
// arriving who have more.
func (m *mux) affords(n int64) bool {
	for {
		if left := m.e.buffers.room() - n; left >= 0 && fair(m.account.memory, left) {
			return true
		}
		if !m.yield(int(n)) {
			return false
		}
	}
}

// growHeld gives a message n bytes of memory, with what it had in the former.
func (m *mux) growHeld(h *held, n int) bool {
	for {
		if fair(m.account.memory, m.e.buffers.room()) {
			if buf := m.e.regrow(h.data, n); buf != nil {
				m.charge(int64(cap(buf) - cap(h.data)))
				h.data = buf
				return true
			}
		}
		if !m.yield(n - len(h.data)) {
			return false
		}
	}
}

// add takes in a fragment; false: there is no memory. The message has memory as far
// as its fragments have come, and four times as much at most.
func (s *Stream) add(h *held, m *wire.Message) bool {
	in := h.in
	if m.Total != h.length || int(m.Stride) > in.stride {
		return true // of another message, or of a cut of before
	}
	if int(m.Stride) < in.stride {
		in.restart(int(m.Stride), int(h.length))
		h.arrived = 0
	}
	at := int(m.Index) * in.stride
	if end := at + len(m.Body); end > len(h.data) {
		if !s.mux.growHeld(h, min(int(h.length), max(end, growth*len(h.data)))) {
			return false
		}
	}
	if in.note(m) {
		copy(h.data[at:], m.Body)
		h.arrived += uint32(len(m.Body))
	}
	if in.missing == 0 {
		s.mux.assembled(h)
	}
	return true
}

// assembled gives back what only a message that is not complete needs.
func (m *mux) assembled(h *held) {
	m.recycleAssembly(&h.in)
	m.e.buffers.maps -= h.bitmap
	m.charge(-h.bitmap)
}

// forget recycles a message that was held.
func (m *mux) forget(h *held) {
	e := m.e
	if h.in != nil {
		m.assembled(h)
	}
	switch {
	case !h.shared:
		e.buffers.copies -= int64(len(h.data))
		m.charge(-int64(len(h.data)))
	case h.data != nil:
		m.charge(-int64(cap(h.data)))
		e.buffers.put(h.data)
	}
	h.data = nil
	e.helds.put(h)
	if len(e.helds.free) > few {
		e.tidySoon()
	}
}
