package core

import "time"

// tally counts calls or requests that end alike, one after the other, as those of one
// burst do: who wants to know is told once.
type tally struct {
	outcome outcome
	since   time.Duration
	count   uint64
}

// outcome is what ended, and how.
type outcome uint32

func outcomeOf(side Side, method uint16, code Code) outcome {
	return outcome(side)<<24 | outcome(uint8(code))<<16 | outcome(method)
}

// counted counts one more that began at since, if it ended like the ones before.
func (t *tally) counted(o outcome, since time.Duration) bool {
	if t.outcome != o || t.since != since {
		return false
	}
	t.count++
	return true
}

// endedOtherwise counts one that is not counted.
func (e *Endpoint) endedOtherwise(o outcome, since time.Duration) {
	e.tellEnded()
	e.tally = tally{o, since, 1}
}

// tellEnded tells of those that were counted.
func (e *Endpoint) tellEnded() {
	if e.tally.count > 0 {
		e.tellTally()
	}
}

func (e *Endpoint) tellTally() {
	t := e.tally
	e.tally.count = 0
	e.cfg.Ended(Side(t.outcome>>24), uint16(t.outcome), Code(uint8(t.outcome>>16)), t.since, t.count)
}
