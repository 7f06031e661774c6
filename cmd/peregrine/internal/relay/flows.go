package relay

import (
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// client is who sends, and which of our addresses to: a connection's name on the
// inside.
type client struct {
	from netip.AddrPort
	at   netip.Addr // zero where we have only one
}

// flow is a client's way to the server and back.
type flow struct {
	client
	inward  transport.Route // to the client
	exit    *side           // by which the server is reached
	port    uint16          // at which it answers
	outward transport.Route // to the server

	used       time.Duration // when the last datagram passed, either way
	connected  bool          // the server has taken the client in
	prev, next *flow         // in a queue
}

// flows are those that are open, of which there are only so many. One by which the
// server has not taken a client in is given up sooner, and for a new one if need be:
// so clients that do not exist, of forged addresses, are in the way of nobody who has
// a connection.
type flows struct {
	most    int
	idle    time.Duration // of a connected flow
	waiting time.Duration // of one that is not

	byClient  map[client]*flow
	fresh     queue // are not connected
	connected queue
}

func newFlows(most int, idle time.Duration) flows {
	return flows{
		most: most, idle: idle, waiting: min(idle, maxWaiting), byClient: make(map[client]*flow),
	}
}

// maxWaiting exceeds the time that a client tries to connect.
const maxWaiting = 10 * time.Second

// full says whether a flow has to go before another can come; victim is the one, or
// nil if all are connected.
func (t *flows) full() (full bool, victim *flow) {
	return len(t.byClient) >= t.most, t.fresh.first
}

// add opens a flow; there must be room, and none of that client.
func (t *flows) add(f *flow, now time.Duration) {
	f.used = now
	t.byClient[f.client] = f
	t.fresh.push(f)
}

// remove ends a flow.
func (t *flows) remove(f *flow) {
	delete(t.byClient, f.client)
	t.of(f).take(f)
}

// use notes that a datagram of the flow passes, which may show that it is connected.
func (t *flows) use(f *flow, now time.Duration, connects bool) {
	if f.used == now && (f.connected || !connects) {
		return
	}
	t.of(f).take(f)
	f.used, f.connected = now, f.connected || connects
	t.of(f).push(f)
}

func (t *flows) of(f *flow) *queue {
	if f.connected {
		return &t.connected
	}
	return &t.fresh
}

// expired returns a flow that has been idle for too long, or nil.
func (t *flows) expired(now time.Duration) *flow {
	if f := t.fresh.first; f != nil && now-f.used >= t.waiting {
		return f
	}
	if f := t.connected.first; f != nil && now-f.used >= t.idle {
		return f
	}
	return nil
}

// next is when the next flow expires if nothing passes; ok is false if there is none.
func (t *flows) next() (at time.Duration, ok bool) {
	if f := t.fresh.first; f != nil {
		at, ok = f.used+t.waiting, true
	}
	if f := t.connected.first; f != nil && (!ok || f.used+t.idle < at) {
		at, ok = f.used+t.idle, true
	}
	return at, ok
}

// queue holds flows in the order of their last use.
type queue struct{ first, last *flow }

func (q *queue) push(f *flow) {
	f.prev, f.next = q.last, nil
	if q.last != nil {
		q.last.next = f
	} else {
		q.first = f
	}
	q.last = f
}

func (q *queue) take(f *flow) {
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		q.first = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		q.last = f.prev
	}
	f.prev, f.next = nil, nil
}
