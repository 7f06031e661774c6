package transport

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"time"
)

const (
	// maxHeld is how many datagrams one direction holds back; beyond it the
	// oldest go out at once.
	maxHeld = 4096
	// maxOvertakers is how many later datagrams one may be overtaken by.
	maxOvertakers = 8
	// maxOvertaken is how long a datagram waits for them if they do not come.
	maxOvertaken = time.Millisecond
)

// lane is one direction of a fault decorator: it decides the fate of each
// datagram and holds those that leave later.
//
// What it touches it copies, so that the memory of the original goes back at
// once. Copies pass two stations: among the overtaken, until enough later
// datagrams have gone by, and on the line, until the delay is over.
type lane struct {
	faults    Faults
	checked   bool // a flipped bit would be found out, and the datagram dropped
	rng       *rand.Rand
	fates     []fate // decided already, of the datagrams to come next
	overtaken []held
	line      []held // in the order of leaving; [gone:] are still there
	gone      int
	spare     [][]byte // buffers for copies
}

// fate is what happens to one datagram. The zero value is nothing.
type fate struct {
	lost, duplicated, corrupted bool
	overtakers                  int    // 0: keeps its place
	bit                         uint64 // to flip, modulo the number of bits
}

// held is the copy of a datagram, and where it is from or going.
type held struct {
	data       []byte
	due        time.Duration // when it leaves its station at the latest
	overtakers int           // still to come
	from       netip.AddrPort
	to         netip.Addr
	route      Route
	ecn        ECN
}

// set begins anew with other faults; salt tells the lanes of both directions apart.
// What is held stays.
func (l *lane) set(f Faults, checked bool, salt uint64) {
	l.faults, l.checked, l.rng = f, checked, rand.New(rand.NewPCG(f.Seed, salt))
	l.fates = l.fates[:0]
}

// fate returns what happens to the i-th datagram from now, without going there.
func (l *lane) fate(i int) fate {
	for len(l.fates) <= i {
		l.fates = append(l.fates, l.decide())
	}
	return l.fates[i]
}

func (l *lane) decide() fate {
	f := fate{
		lost:       l.happens(l.faults.Loss),
		duplicated: l.happens(l.faults.Duplicate),
		corrupted:  l.happens(l.faults.Corrupt),
	}
	if l.happens(l.faults.Reorder) {
		f.overtakers = 1 + l.rng.IntN(maxOvertakers)
	}
	if f.corrupted {
		f.bit = l.rng.Uint64()
	}
	return f
}

func (l *lane) happens(probability float64) bool {
	return probability > 0 && l.rng.Float64() < probability
}

// untouched returns how many of the next n datagrams go through as they are,
// without giving way to one that is held.
func (l *lane) untouched(n int) int {
	if l.faults.Delay > 0 {
		return 0
	}
	for i := range l.overtaken {
		n = min(n, l.overtaken[i].overtakers)
	}
	for i := range n {
		if l.fate(i) != (fate{}) {
			return i
		}
	}
	return n
}

// pass goes on by n datagrams, which overtake the overtaken.
func (l *lane) pass(n int, now time.Duration) {
	l.count(n)
	l.rejoin(now)
}

func (l *lane) count(n int) {
	decided := min(n, len(l.fates))
	l.fates = l.fates[:copy(l.fates, l.fates[decided:])]
	for i := range l.overtaken {
		l.overtaken[i].overtakers -= n
	}
}

// rejoin moves those who have been overtaken enough, or waited enough, to the
// line.
func (l *lane) rejoin(now time.Duration) {
	kept := l.overtaken[:0]
	for _, h := range l.overtaken {
		if h.overtakers > 0 && now < h.due {
			kept = append(kept, h)
			continue
		}
		l.enqueue(h, now)
	}
	clear(l.overtaken[len(kept):])
	l.overtaken = kept
}

func (l *lane) enqueue(h held, now time.Duration) {
	h.due = now + l.faults.Delay
	l.line = append(l.line, h)
}

// admit takes a copy of the next datagram, head followed by payload, does to it
// what was decided, and returns how many faults that was. h says the rest.
func (l *lane) admit(h held, head, payload []byte, now time.Duration) (faults uint64) {
	f := l.fate(0)
	l.count(1)
	f.lost = f.lost || f.corrupted && l.checked
	copies := 1
	switch {
	case f.lost:
		copies = 0
		f = fate{lost: true}
		faults++
	case f.duplicated:
		copies = 2
		faults++
	}
	if f.corrupted {
		faults++
	}
	if f.overtakers > 0 {
		faults++
	}
	for range copies {
		h.data = append(append(l.buffer(), head...), payload...)
		if bits := uint64(len(h.data)) * 8; f.corrupted && bits > 0 {
			bit := f.bit % bits
			h.data[bit/8] ^= 1 << (bit % 8)
		}
		if f.overtakers > 0 {
			h.overtakers = f.overtakers
			h.due = now + maxOvertaken
			l.overtaken = append(l.overtaken, h)
		} else {
			l.enqueue(h, now)
		}
	}
	// Only now: this one goes before those whom it was the last to overtake.
	l.rejoin(now)
	return faults
}

// buffer returns an empty buffer to copy into.
func (l *lane) buffer() []byte {
	last := len(l.spare) - 1
	if last < 0 {
		return nil
	}
	b := l.spare[last]
	l.spare = l.spare[:last]
	return b
}

// recycle gives a buffer back.
func (l *lane) recycle(b []byte) { l.spare = append(l.spare, b[:0]) }

// held returns how many datagrams are held.
func (l *lane) held() int { return len(l.line) - l.gone + len(l.overtaken) }

// leaving returns the i-th datagram of the line if it is to leave now.
func (l *lane) leaving(i int, now time.Duration) (*held, bool) {
	if l.gone+i >= len(l.line) {
		return nil, false
	}
	h := &l.line[l.gone+i]
	return h, h.due <= now || l.held()-i > maxHeld
}

// leave takes the first n of the line off it.
func (l *lane) leave(n int) {
	clear(l.line[l.gone : l.gone+n])
	l.gone += n
	switch {
	case l.gone == len(l.line):
		l.line, l.gone = l.line[:0], 0
	case l.gone >= maxHeld:
		l.line, l.gone = l.line[:copy(l.line, l.line[l.gone:])], 0
	}
}

// flush lets all that is held leave now.
func (l *lane) flush() {
	l.line = append(l.line, l.overtaken...)
	clear(l.overtaken)
	l.overtaken = l.overtaken[:0]
	for i := range l.line {
		l.line[i].due = 0
	}
}

// never is later than any time.
const never = time.Duration(math.MaxInt64)

// due returns when the next held datagram leaves its station, or never.
func (l *lane) due() time.Duration {
	due := never
	if l.gone < len(l.line) {
		due = l.line[l.gone].due
	}
	for i := range l.overtaken {
		due = min(due, l.overtaken[i].due)
	}
	return due
}
