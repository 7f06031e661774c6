package scenario_test

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/wire"
)

var typeNames = map[string]wire.Type{
	"data": wire.Data, "ack": wire.Ack, "hello": wire.Hello, "retry": wire.Retry,
	"accept": wire.Accept, "refuse": wire.Refuse, "reset": wire.Reset, "close": wire.Close,
	"path-challenge": wire.PathChallenge, "path-response": wire.PathResponse,
}

var kindNames = map[string]wire.Kind{
	"request": wire.Request, "response": wire.Response, "cancel": wire.Cancel,
	"close-session": wire.CloseSession, "ping": wire.Ping,
}

func nameOf[V comparable](names map[string]V, value V) string {
	for name, v := range names {
		if v == value {
			return name
		}
	}
	return "?"
}

// describe renders a datagram without what chance decided. Data is
//
//	#7! ack 1-3,5 ce=2; request 0.1/4:9 32B; ...
//
// where 7 is the packet number, ! asks for an acknowledgement at once, and 0.1/4:9
// is session, generation, slot and sequence.
func describe(data []byte) string {
	var h wire.Header
	rest, err := h.Parse(data)
	if err != nil {
		return err.Error()
	}
	switch h.Type {
	case wire.Data:
		return describeData(&h, data)
	case wire.Ack:
		return describeAcks(&h.Acks)
	case wire.Hello:
		var hello wire.HelloBody
		if err = hello.Parse(rest, len(data)); err == nil && hello.Cookie != [wire.CookieSize]byte{} {
			return "hello with cookie"
		}
	case wire.Accept:
		var accept wire.AcceptBody
		if err = accept.Parse(rest); err == nil {
			return fmt.Sprintf("accept slots=%d credits=%d", accept.Params.Slots, accept.Params.Credits)
		}
	case wire.Reset:
		var reset wire.ResetBody
		if err = reset.Parse(rest); err == nil {
			return fmt.Sprintf("reset of #%d", reset.Number)
		}
	case wire.Refuse, wire.Close:
		code, reason, _ := wire.ParseReason(rest)
		return fmt.Sprintf("%s %v: %s", nameOf(typeNames, h.Type), core.Code(code), reason)
	}
	if err != nil {
		return err.Error()
	}
	return nameOf(typeNames, h.Type)
}

func describeData(h *wire.Header, data []byte) string {
	head := fmt.Sprintf("#%d", h.Number)
	if h.Flags&wire.FlagAckNow != 0 {
		head += "!"
	}
	if h.Acks.Words > 0 {
		head += " " + describeAcks(&h.Acks)
	}
	parts := []string{head}
	all := messages(data)
	for i := 0; i < len(all); i++ {
		text, first := describeMessage(&all[i]), i
		for i+1 < len(all) && alike(&all[first], &all[i+1]) {
			i++
		}
		if i > first {
			text += fmt.Sprintf(" and %d like it, to %s", i-first, place(&all[i]))
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// alike says whether two messages differ in nothing but their slot.
func alike(a, b *wire.Message) bool {
	return a.Kind == b.Kind && a.Flags == b.Flags && a.Code == b.Code && a.Session == b.Session &&
		len(a.Body) == len(b.Body)
}

func describeMessage(m *wire.Message) string {
	s := nameOf(kindNames, m.Kind)
	switch m.Kind {
	case wire.Ping:
		return s
	case wire.CloseSession:
		return fmt.Sprintf("%s %d.%d", s, m.Session, m.Generation)
	}
	s += " " + place(m)
	if m.Kind == wire.Response && m.Code != 0 {
		s += " " + core.Code(m.Code&^wire.NotExecuted).String()
		if m.Code&wire.NotExecuted != 0 {
			s += ", not executed"
		}
	}
	if m.Flags&wire.FlagFragment != 0 {
		s += fmt.Sprintf(" fragment %d of %dB", m.Index, m.Total)
	}
	if m.Kind == wire.Request || m.Kind == wire.Response {
		s += fmt.Sprintf(" %dB", len(m.Body))
	}
	if m.Flags&wire.FlagDeadline != 0 {
		s += fmt.Sprintf(" %dus left", wire.DecodeTimeout(m.Deadline).Microseconds())
	}
	return s
}

func place(m *wire.Message) string {
	return fmt.Sprintf("%d.%d/%d:%d", m.Session, m.Generation, m.Slot, m.Sequence)
}

// describeAcks lists the numbers that a block acknowledges, as ranges.
func describeAcks(a *wire.AckBlock) string {
	var ranges []string
	var first, last uint32 // of the range under way, downwards
	add := func() {
		switch {
		case last == 0:
		case first == last:
			ranges = append([]string{fmt.Sprint(first)}, ranges...)
		default:
			ranges = append([]string{fmt.Sprintf("%d-%d", first, last)}, ranges...)
		}
	}
	for i := range uint32(a.Words) {
		for word := a.Bitmap[i]; word != 0; {
			lead := uint32(bits.LeadingZeros64(word))
			word &^= 1 << (63 - lead)
			n := a.Largest - 64*i - lead
			if last != 0 && n == first-1 {
				first = n
				continue
			}
			add()
			first, last = n, n
		}
	}
	add()
	s := "ack " + strings.Join(ranges, ",")
	if a.CE > 0 {
		s += fmt.Sprintf(" ce=%d", a.CE)
	}
	return s
}
