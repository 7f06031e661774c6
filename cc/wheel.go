package cc

import (
	"math/bits"
	"time"
)

// Wheel releases items at their times: a timing wheel after Carousel (Saeed et
// al., SIGCOMM 2017). Insert, Remove and Reap are O(1) and do not allocate.
//
// An item is a flow, not a packet, and is embedded in what it releases. So
// memory is bounded by the number of flows, a flow builds its next packet only
// when it is released, and a cancelled or retransmitted message concerns the
// flow's queue and never the wheel.
//
// Times are since any one epoch. Items come back no earlier than their time,
// and late by less than the granularity if Reap is called often enough.
//
// One goroutine uses a Wheel and its items at a time.
type Wheel struct {
	granularity time.Duration
	tick        int64    // all slots before this tick are empty
	slots       []*Item  // first of a ring of items; a tick's slot is tick % len
	occupied    []uint64 // a bit for each slot
	count       int
	idle        time.Duration // time of the latest Reap that found nothing to wait for
}

// Item is an entry of a [Wheel]. Its zero value is ready for use.
type Item struct {
	// Owner is what the item stands for. The wheel does not touch it.
	Owner any

	tick       int64 // when it may go
	slot       int
	prev, next *Item // nil: not in a wheel
}

// NewWheel returns a wheel with that many slots of granularity each; their
// product is its horizon. Items beyond it wait in the last slot and are looked
// at once per horizon. Slots are rounded up to a power of two of at least 64;
// granularity is at least 1 ns.
func NewWheel(granularity time.Duration, slots int) *Wheel {
	n := 64
	for n < slots && n < 1<<30 {
		n *= 2
	}
	return &Wheel{
		granularity: max(granularity, 1),
		slots:       make([]*Item, n),
		occupied:    make([]uint64, n/64),
	}
}

// Len is how many items wait.
func (w *Wheel) Len() int { return w.count }

// Waiting says whether the item is in a wheel.
func (i *Item) Waiting() bool { return i.next != nil }

// Insert releases item at the time given, or at once if that has passed. An
// item that waits already is moved.
func (w *Wheel) Insert(item *Item, at time.Duration) {
	w.Remove(item)
	if w.count == 0 {
		w.tick = max(w.tick, int64(w.idle/w.granularity))
	}
	at = max(at, 0)
	item.tick = int64(at / w.granularity)
	if at%w.granularity != 0 {
		item.tick++ // never early
	}
	w.place(item)
}

func (w *Wheel) place(item *Item) {
	ahead := min(max(item.tick-w.tick, 0), int64(len(w.slots)-1))
	item.slot = int((w.tick + ahead) & int64(len(w.slots)-1))
	w.count++
	first := w.slots[item.slot]
	if first == nil {
		w.slots[item.slot] = item
		w.occupied[item.slot/64] |= 1 << (item.slot % 64)
		item.prev, item.next = item, item
		return
	}
	item.prev, item.next = first.prev, first
	first.prev.next = item
	first.prev = item
}

// Remove takes item out if it waits.
func (w *Wheel) Remove(item *Item) {
	if item.next == nil {
		return
	}
	w.count--
	if item.next == item {
		w.slots[item.slot] = nil
		w.occupied[item.slot/64] &^= 1 << (item.slot % 64)
	} else {
		item.prev.next, item.next.prev = item.next, item.prev
		if w.slots[item.slot] == item {
			w.slots[item.slot] = item.next
		}
	}
	item.prev, item.next = nil, nil
}

// Reap takes out an item whose time has come, or returns nil if there is none
// left. Earlier slots come first, and within a slot those inserted first. Items
// may be inserted and removed between calls; one inserted for now or earlier is
// due at once, so a loop over Reap that does only that does not end.
//
// A now before that of an earlier call counts as that.
func (w *Wheel) Reap(now time.Duration) *Item {
	if w.count == 0 {
		w.idle = now
		return nil
	}
	due := int64(max(now, 0) / w.granularity)
	if laps := (due - w.tick) / int64(len(w.slots)); laps > 1 {
		w.tick += (laps - 1) * int64(len(w.slots)) // one lap visits every slot
	}
	for w.count > 0 {
		tick := w.earliest()
		if tick > due {
			break
		}
		w.tick = tick
		item := w.slots[tick&int64(len(w.slots)-1)]
		w.Remove(item)
		if item.tick <= due {
			return item
		}
		w.place(item) // was beyond the horizon
	}
	w.tick = max(w.tick, due)
	return nil
}

// Next is when Reap will next have something to do; ok is false if nothing
// waits. It may be early for items beyond the horizon, and is never late.
func (w *Wheel) Next() (at time.Duration, ok bool) {
	if w.count == 0 {
		return 0, false
	}
	return time.Duration(w.earliest()) * w.granularity, true
}

// earliest is the tick of the first occupied slot from w.tick on. There must be
// one.
func (w *Wheel) earliest() int64 {
	start := int(w.tick & int64(len(w.slots)-1))
	word := start / 64
	found := w.occupied[word] >> (start % 64) << (start % 64)
	for found == 0 {
		word = (word + 1) % len(w.occupied)
		found = w.occupied[word]
	}
	slot := word*64 + bits.TrailingZeros64(found)
	return w.tick + int64((slot-start)&(len(w.slots)-1))
}
