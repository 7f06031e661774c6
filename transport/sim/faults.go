package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Faults is what may happen to a datagram on the wire, after the queue. The
// probabilities are from 0 to 1, for each datagram.
type Faults struct {
	// Loss is the probability that it is lost.
	Loss float64
	// Burst loses datagrams in runs, beside Loss.
	Burst Burst
	// Duplicate is the probability that it arrives twice.
	Duplicate float64
	// Corrupt is the probability that one bit of it is flipped. The receiving
	// host's checksum finds that, if it has one.
	Corrupt float64
	// Reorder is the probability that it is late by ReorderDelay, so that later
	// ones overtake it.
	Reorder      float64
	ReorderDelay time.Duration
	// Jitter delays each datagram by a random time below it, also past others.
	Jitter time.Duration
}

// Burst is the loss model of E. N. Gilbert ("Capacity of a Burst-Noise
// Channel", 1960) and E. O. Elliott: a wire is good or bad, and only a bad one
// loses. The mean loss is Loss × Enter / (Enter + Leave), the mean length of a
// bad run 1 / Leave datagrams.
type Burst struct {
	// Enter and Leave are the probabilities, at each datagram, that a good wire
	// turns bad, and a bad one good.
	Enter, Leave float64
	// Loss is the probability that a bad wire loses a datagram.
	Loss float64
}

func (f *Faults) check() {
	for _, p := range []float64{f.Loss, f.Duplicate, f.Corrupt, f.Reorder, f.Burst.Enter, f.Burst.Leave, f.Burst.Loss} {
		if !(p >= 0 && p <= 1) {
			panic(fmt.Sprintf("sim: %v is no probability: faults take 0 to 1", p))
		}
	}
	if f.Jitter < 0 || f.ReorderDelay < 0 || f.Reorder > 0 && f.ReorderDelay == 0 {
		panic("sim: Jitter and ReorderDelay are not negative, and Reorder needs a ReorderDelay")
	}
}

// wire applies faults.
type wire struct {
	faults Faults
	faulty bool // any at all
	bad    bool // in a burst
	random *rand.Rand
}

func (w *wire) set(f Faults) {
	f.check()
	w.faults, w.faulty = f, f != Faults{}
}

func (w *wire) chance(p float64) bool { return p > 0 && w.random.Float64() < p }

// loses decides whether a datagram is lost.
func (w *wire) loses() bool {
	b := &w.faults.Burst
	if w.bad {
		w.bad = !w.chance(b.Leave)
	} else {
		w.bad = w.chance(b.Enter)
	}
	return w.bad && w.chance(b.Loss) || w.chance(w.faults.Loss)
}

// late is by how much longer a datagram takes than the link's delay.
func (w *wire) late() (d time.Duration, reordered bool) {
	if w.faults.Jitter > 0 {
		d = time.Duration(w.random.Int64N(int64(w.faults.Jitter)))
	}
	if w.chance(w.faults.Reorder) {
		return d + w.faults.ReorderDelay, true
	}
	return d, false
}

// damage flips a bit.
func (w *wire) damage(data []byte) {
	bit := w.random.IntN(8 * len(data))
	data[bit/8] ^= 1 << (bit % 8)
}
