package core

import (
	"time"

	"github.com/peregrine-rpc/peregrine/core/packet"
)

// tidyEvery is for how long memory has to lie idle to be given back.
const tidyEvery = time.Second

// few objects are not worth waking up for.
const few = 16

// tidy gives back what a burst needed and nobody has needed for a second. It
// runs as long as there is anything to give back, or any call or stream under way.
type tidy struct {
	e        *Endpoint
	timer    packet.Timer
	squeezed bool // idle copies were given up since it last ran
}

// tidySoon has tidy run, since there is something that may become idle.
func (e *Endpoint) tidySoon() {
	if t := &e.tidy.timer; !t.IsSet() {
		e.packets.Set(t, e.packets.Now()+tidyEvery)
	}
}

// Expired is the timer of tidy.
func (t *tidy) Expired() {
	e := t.e
	t.squeezed = false
	e.askAgain()
	e.askStreams()
	e.buffers.trim()
	e.slots.trim(func(*clientSlot) {})
	e.requests.trim(e.forgetCopies)
	e.controls.trim()
	e.assemblies.trim()
	e.arrivals.trim()
	e.sendings.trim()
	e.helds.trim()
	e.holdings.trim()
	e.turns = tight(e.turns)
	e.parked = tight(e.parked)
	e.packets.Tidy()
	idle := len(e.controls.free) + len(e.assemblies.free) + len(e.arrivals.free) + len(e.sendings.free) + len(e.helds.free) + len(e.holdings.free)
	if e.buffers.kept > 0 || len(e.slots.all)+len(e.requests.all)+e.streaming > 0 || idle > few {
		e.tidySoon()
	}
}

// regrow returns memory of n bytes that begins with what is in former, which it
// takes back, or nil if there is none.
func (e *Endpoint) regrow(former []byte, n int) []byte {
	e.tidySoon()
	buf := e.buffers.regrow(former, n)
	if buf == nil && !e.tidy.squeezed {
		e.tidy.squeezed = true
		for _, id := range e.requests.free[e.requests.bare:] {
			e.forgetCopies(e.requests.at(id))
		}
		buf = e.buffers.regrow(former, n)
	}
	return buf
}

// forgetCopies gives back the memory of an idle request.
func (e *Endpoint) forgetCopies(r *Request) {
	e.buffers.copies -= int64(cap(r.kept) + cap(r.small))
	r.kept, r.small, r.out.data = nil, nil, nil
}

// copyOf is data in the memory of buf, or in new memory if it does not fit.
func (e *Endpoint) copyOf(data, buf []byte) []byte {
	if cap(buf) < len(data) {
		return e.copyAnew(data, buf)
	}
	buf = buf[:len(data)]
	copyShort(buf, data)
	return buf
}

func (e *Endpoint) copyAnew(data, buf []byte) []byte {
	fresh := append([]byte(nil), data...)
	e.buffers.copies += int64(cap(fresh) - cap(buf))
	return fresh
}
