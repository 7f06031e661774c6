package packet

import "time"

// Timer is one entry of a timers heap, embedded in what it wakes.
type Timer struct {
	at    time.Duration
	place int // 1 + position in the heap; 0: not queued
	owner interface{ Expired() }
}

// NewTimer returns a timer that calls owner's Expired, on the endpoint's
// goroutine, when it fires.
func NewTimer(owner interface{ Expired() }) Timer { return Timer{owner: owner} }

// At is when a timer that is set fires.
func (t *Timer) At() time.Duration { return t.at }

// IsSet says whether the timer is set, and has not fired.
func (t *Timer) IsSet() bool { return t.place != 0 }

// timers is a binary heap of timers. Owners whose deadline moves forward leave
// their entry as it is and set it anew when it fires, so that a busy peer does
// not touch the heap.
type timers struct{ heap []*Timer }

// set queues t for at, or moves it there.
func (h *timers) set(t *Timer, at time.Duration) {
	t.at = at
	if t.place == 0 {
		h.heap = append(h.heap, t)
		t.place = len(h.heap)
	}
	h.down(h.up(t.place - 1))
}

// soonen sets t for at unless it will fire before that anyway.
func (h *timers) soonen(t *Timer, at time.Duration) {
	if t.place == 0 || at < t.at {
		h.set(t, at)
	}
}

func (h *timers) stop(t *Timer) {
	if t.place == 0 {
		return
	}
	i, last := t.place-1, len(h.heap)-1
	t.place = 0
	moved := h.heap[last]
	h.heap[last] = nil
	h.heap = h.heap[:last]
	if i < last {
		h.put(i, moved)
		h.down(h.up(i))
	}
}

// expire fires all that are due.
func (h *timers) expire(now time.Duration) {
	for len(h.heap) > 0 && h.heap[0].at <= now {
		t := h.heap[0]
		h.stop(t)
		t.owner.Expired()
	}
}

func (h *timers) put(i int, t *Timer) {
	h.heap[i] = t
	t.place = i + 1
}

func (h *timers) up(i int) int {
	t := h.heap[i]
	for i > 0 {
		parent := (i - 1) / 2
		if h.heap[parent].at <= t.at {
			break
		}
		h.put(i, h.heap[parent])
		i = parent
	}
	h.put(i, t)
	return i
}

func (h *timers) down(i int) {
	t := h.heap[i]
	for {
		child := 2*i + 1
		if child >= len(h.heap) {
			break
		}
		if r := child + 1; r < len(h.heap) && h.heap[r].at < h.heap[child].at {
			child = r
		}
		if t.at <= h.heap[child].at {
			break
		}
		h.put(i, h.heap[child])
		i = child
	}
	h.put(i, t)
}
