package core

import (
	"container/heap"
	"time"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// arrival is a request of several packets, at a server: while its fragments arrive
// and while its handler has it. Its memory grows with what arrives, whatever length
// it is said to have, so that who says much and sends little holds little.
type arrival struct {
	assembly
	request      *Request
	bitmap       int64         // bytes for it
	arrived      int           // bytes of it
	early        []early       // fragments from beyond the end of buf
	heard        time.Duration // when the latest new fragment came
	timer        packet.Timer  // while it arrives
	older, newer *arrival      // of the same client that are arriving
}

// early is a fragment that arrived before there was memory at its place.
type early struct {
	at   int
	body []byte
}

const (
	// firstMemory is what a request is given with its first fragment, in bytes; it
	// is given growth times as much whenever half of what it has has arrived.
	firstMemory = 16 << 10
	growth      = 4
	// quietKeepAlives is after how many times keep_alive without another fragment a
	// request is given up.
	quietKeepAlives = 10
	// noMemory is how requests fail for which there is none.
	noMemory = "server is overloaded (reassembly_memory)"
)

// arrive begins with the first fragment of a request.
func (m *mux) arrive(r *Request, message *wire.Message) {
	e, total := m.e, int(message.Total)
	if m.claimed+int64(total) > e.cfg.ReassemblyMemory {
		r.refuse(ResourceExhausted, noMemory) // it says itself that it will not fit
		return
	}
	a := e.arrivals.get()
	a.request, r.in = r, a
	a.timer = packet.NewTimer(a)
	a.total, a.arrived, a.heard = total, 0, e.packets.Now()
	a.bitmap = int64(total / wire.MinFragment / 8)
	e.buffers.maps += a.bitmap
	m.claimed += int64(total)
	m.charge(a.bitmap)
	a.join(m)
	a.wake()
	first := total
	if !e.buffers.keeps(total) {
		first = min(total, firstMemory)
	}
	if !a.grow(first) {
		return
	}
	a.restart(int(message.Stride), total)
	a.take(message)
}

// take takes in a fragment.
func (a *arrival) take(message *wire.Message) {
	if int(message.Total) != a.total || int(message.Stride) > a.stride {
		return // of another message, or of a cut of before
	}
	r := a.request
	e := r.endpoint
	if int(message.Stride) < a.stride {
		a.forget()
		a.arrived = 0
		a.restart(int(message.Stride), a.total)
	}
	if a.note(message) {
		r.session.mux.filling = &a.assembly
		a.heard = e.packets.Now()
		a.arrived += len(message.Body)
		if at := int(message.Index) * a.stride; at+len(message.Body) <= len(a.buf) {
			copy(a.buf[at:], message.Body)
		} else if !a.store(at, message.Body) {
			return
		}
		for len(a.buf) < a.total && a.arrived >= len(a.buf)/2 {
			if !a.grow(min(growth*len(a.buf), a.total)) {
				return
			}
		}
	}
	if a.missing == 0 {
		e.packets.Stop(&a.timer)
		a.leave()
		r.Data = a.buf
		r.run()
	}
}

// store keeps a fragment until there is memory at its place.
func (a *arrival) store(at int, body []byte) bool {
	m := a.request.session.mux
	for {
		if left := m.e.buffers.room() - int64(len(body)); left >= 0 && fair(m.account.memory, left) {
			m.e.buffers.lent += int64(len(body))
			m.charge(int64(len(body)))
			a.early = append(a.early, early{at, append([]byte(nil), body...)})
			return true
		}
		if !m.yield(len(body)) {
			a.giveUp(ResourceExhausted, noMemory)
			return false
		}
	}
}

// forget drops the early fragments.
func (a *arrival) forget() {
	bytes := int64(0)
	for _, f := range a.early {
		bytes += int64(len(f.body))
	}
	clear(a.early)
	a.early = a.early[:0]
	m := a.request.session.mux
	m.e.buffers.lent -= bytes
	m.charge(-bytes)
}

// grow gives the request n bytes of memory, with what it had in the former. If
// there are none, not even of those who have more, it fails.
func (a *arrival) grow(n int) bool {
	m := a.request.session.mux
	e := m.e
	for {
		if fair(m.account.memory, e.buffers.room()) {
			if buf := e.regrow(a.buf, n); buf != nil {
				m.charge(int64(cap(buf) - cap(a.buf)))
				a.buf = buf
				break
			}
		}
		if !m.yield(n - len(a.buf)) {
			a.giveUp(ResourceExhausted, noMemory)
			return false
		}
	}
	later := a.early[:0]
	bytes := int64(0)
	for _, f := range a.early {
		if f.at+len(f.body) <= n {
			copy(a.buf[f.at:], f.body)
			bytes += int64(len(f.body))
		} else {
			later = append(later, f)
		}
	}
	clear(a.early[len(later):])
	a.early = later
	e.buffers.lent -= bytes
	m.charge(-bytes)
	return true
}

// Expired is the timer of a request that is arriving.
func (a *arrival) Expired() {
	r := a.request
	switch now := r.endpoint.packets.Now(); {
	case r.Deadline != 0 && now >= r.Deadline:
		a.giveUp(DeadlineExceeded, "expired before all of it had arrived")
	case now >= a.silentAt():
		a.giveUp(Unavailable, "no more of the request has arrived for ten times the keep-alive")
	default:
		a.wake()
	}
}

func (a *arrival) silentAt() time.Duration {
	return a.heard + quietKeepAlives*a.request.endpoint.cfg.KeepAlive
}

func (a *arrival) wake() {
	at := a.silentAt()
	if d := a.request.Deadline; d != 0 {
		at = min(at, d)
	}
	a.request.endpoint.packets.Set(&a.timer, at)
}

// giveUp refuses a request that is arriving, and gives its memory back. What still
// comes of it is a duplicate.
func (a *arrival) giveUp(code Code, reason string) {
	r := a.request
	a.release()
	r.refuse(code, reason)
}

// release gives the memory back.
func (a *arrival) release() {
	r := a.request
	m := r.session.mux
	e := m.e
	e.packets.Stop(&a.timer)
	m.filled(&a.assembly)
	a.leave()
	a.forget()
	if a.buf != nil {
		m.charge(-int64(cap(a.buf)))
		e.buffers.put(a.buf)
	}
	e.buffers.maps -= a.bitmap
	m.charge(-a.bitmap)
	m.claimed -= int64(a.total)
	a.buf, a.request, r.in, r.Data = nil, nil, nil, nil
	e.arrivals.put(a)
}

// join puts a first among those of its client that are arriving.
func (a *arrival) join(m *mux) {
	a.older, a.newer = m.arriving, nil
	if m.arriving != nil {
		m.arriving.newer = a
	}
	m.arriving = a
	if m.hoard == 0 {
		heap.Push(&m.e.hoarders, m)
	}
}

// leave takes a from among them, if it is there.
func (a *arrival) leave() {
	m := a.request.session.mux
	switch {
	case a.newer != nil:
		a.newer.older = a.older
	case m.arriving == a:
		m.arriving = a.older
	default:
		return // it has arrived
	}
	if a.older != nil {
		a.older.newer = a.newer
	}
	a.older, a.newer = nil, nil
	if m.arriving == nil {
		heap.Remove(&m.e.hoarders, m.hoard-1)
	}
}
