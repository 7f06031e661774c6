package peregrine

import "time"

const (
	// longTurn is how long a turn is that holds others up.
	longTurn = time.Millisecond
	// longestOf is for how long at least the longest turn is remembered, and half
	// of how long at most.
	longestOf = 10 * time.Second
	// timedFor is how long handlers are timed each, once several of them have made a
	// turn long together.
	timedFor = time.Second
)

// occupancy is what a loop spends its time on. It is the loop's.
type occupancy struct {
	turns, busyTurns, longTurns uint64

	busy  time.Duration
	since time.Duration // when the busy turn began that is not over; 0: none

	longest, earlier heldTurn // since period, and in the period before
	period           time.Duration

	ran    int           // the method whose handlers ran in this turn
	slow   time.Duration // the longest of them
	timing time.Duration // until when handlers are timed each; 0: they are not
}

// heldTurn is a turn that held others up.
type heldTurn struct {
	took   time.Duration
	method int
}

// begin notes the start of a turn, which is the end of the one before.
func (o *occupancy) begin(now time.Duration) {
	o.turns++
	if o.since != 0 {
		o.busy += now - o.since
		o.since = 0
	}
	o.ran, o.slow = NoMethod, 0
}

// handling notes that a handler runs.
func (o *occupancy) handling(method uint16) {
	switch {
	case o.ran == NoMethod:
		o.ran = int(method)
	case o.ran != int(method):
		o.ran = OtherMethods
	}
}

// handled notes how long a handler took.
func (o *occupancy) handled(method uint16, took time.Duration) {
	if took > o.slow || o.ran == NoMethod {
		o.ran, o.slow = int(method), took
	}
}

// work notes that the turn that began at began was busy; by now it has run its
// handlers and has not sent.
func (o *occupancy) work(began, now time.Duration) {
	o.busyTurns++
	o.since = began
	took := now - began
	if began-o.period > longestOf {
		o.earlier = o.longest
		if began-o.period > 2*longestOf {
			o.earlier = heldTurn{method: NoMethod}
		}
		o.longest, o.period = heldTurn{method: NoMethod}, began
	}
	if took > o.longest.took {
		o.longest = heldTurn{took, o.ran}
	}
	if took >= longTurn {
		o.longTurns++
		if o.ran == OtherMethods {
			o.timing = now + timedFor
		}
	}
	if o.timing != 0 && now > o.timing {
		o.timing = 0
	}
}

// held is the longest turn of late.
func (o *occupancy) held() heldTurn {
	switch {
	case o.earlier.took > o.longest.took:
		return o.earlier
	case o.longest.took == 0:
		return heldTurn{method: NoMethod}
	}
	return o.longest
}
