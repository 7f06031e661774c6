package sim

import "time"

// event is something that happens at a time. Of two at the same time the one
// with the lower order goes first.
type event struct {
	at    time.Duration
	order uint64
	what  happening
}

// happening is implemented by pointers, so that an event needs no memory.
type happening interface {
	// happen is told the order of its event, so that it can ignore those that
	// it no longer waits for.
	happen(order uint64)
}

// agenda is a heap of events with four children to a node: half as deep as a
// binary one, and four events are two cache lines.
type agenda []event

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.order < o.order
}

func (a *agenda) push(e event) {
	*a = append(*a, e)
	h := *a
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

func (a *agenda) pop() event {
	h := *a
	top := h[0]
	last := len(h) - 1
	e := h[last]
	h[last] = event{}
	h = h[:last]
	*a = h
	if last == 0 {
		return top
	}
	i := 0
	for {
		first := 4*i + 1
		if first >= last {
			break
		}
		least := first
		for child := first + 1; child < min(first+4, last); child++ {
			if h[child].before(&h[least]) {
				least = child
			}
		}
		if !h[least].before(&e) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = e
	return top
}
