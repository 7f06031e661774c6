package core

import (
	"maps"
	"time"
)

// tidyEvery is for how long memory has to lie idle to be given back.
const tidyEvery = time.Second

// few objects are not worth waking up for.
const few = 16

// tidy gives back what a burst needed and nobody has needed for a second. It
// runs as long as there is anything to give back.
type tidy struct {
	timer    timer
	squeezed bool // idle copies were given up since it last ran
	// The most that the maps have held since they were made.
	mostDialed, mostAccepted int
}

// tidySoon has tidy run, since there is something that may become idle.
func (e *Endpoint) tidySoon() {
	if t := &e.tidy.timer; t.place == 0 {
		t.owner = e
		e.timers.set(t, e.now+tidyEvery)
	}
}

// expired is the timer of tidy.
func (e *Endpoint) expired() {
	e.tidy.squeezed = false
	e.buffers.trim()
	e.slots.trim(func(*clientSlot) {})
	e.requests.trim(e.forgetCopies)
	e.controls.trim()
	e.assemblies.trim()
	e.timers.heap = tight(e.timers.heap)
	e.dirty, e.strays, e.parked = tight(e.dirty), tight(e.strays), tight(e.parked)
	e.dialed = smaller(e.dialed, &e.tidy.mostDialed)
	e.accepted = smaller(e.accepted, &e.tidy.mostAccepted)
	e.tidyPeers()
	if e.buffers.kept > 0 || len(e.slots.all)+len(e.requests.all) > 0 || len(e.controls.free)+len(e.assemblies.free) > few {
		e.tidySoon()
	}
}

// tidyPeers takes the numbers of peers that are gone from the end of the table.
func (e *Endpoint) tidyPeers() {
	n := len(e.peers)
	for n > 0 && e.peers[n-1] == nil {
		n--
	}
	if n == len(e.peers) {
		return
	}
	e.peers = tight(e.peers[:n])
	freed := e.freed[:0]
	for _, slot := range e.freed {
		if int(slot) < n {
			freed = append(freed, slot)
		}
	}
	e.freed = tight(freed)
}

// smaller is m, or a copy if it has held far more: maps do not shrink.
func smaller[K comparable, V any](m map[K]V, most *int) map[K]V {
	if *most <= 64 || len(m) > *most/4 {
		return m
	}
	*most = len(m)
	small := make(map[K]V, len(m))
	maps.Copy(small, m)
	return small
}

// buffer returns memory to reassemble a request of n bytes in, or nil if there
// is none.
func (e *Endpoint) buffer(n int) []byte {
	e.tidySoon()
	buf := e.buffers.get(n)
	if buf == nil && !e.tidy.squeezed {
		e.tidy.squeezed = true
		for _, id := range e.requests.free[e.requests.bare:] {
			e.forgetCopies(e.requests.at(id))
		}
		buf = e.buffers.get(n)
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
	return append(buf[:0], data...)
}

func (e *Endpoint) copyAnew(data, buf []byte) []byte {
	fresh := append([]byte(nil), data...)
	e.buffers.copies += int64(cap(fresh) - cap(buf))
	return fresh
}
