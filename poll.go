package peregrine

import (
	"fmt"
	"time"
)

// Poll says what a loop does when it has no work.
type Poll int

const (
	// Adaptive spins for a while, then blocks; where others want its CPU it
	// blocks at once.
	Adaptive Poll = iota
	// Busy never blocks: the loop owns its core.
	Busy
	// Block blocks at once.
	Block
)

const (
	// spinLong is how long an adaptive loop looks for work before it blocks. It
	// exceeds what waking the peer's thread takes: else both sides would block in
	// turn and each wait for the other to wake.
	spinLong = 200 * time.Microsecond
	// spinShort is what it spends instead where work comes so rarely that
	// looking for longer is in vain.
	spinShort = 20 * time.Microsecond
)

// idleness decides how long an adaptive loop spins: by how often work came in
// time lately, and not at all for a while where spinning has kept the thread
// from its CPU, or others from it.
type idleness struct {
	// preempted says whether another thread has had the CPU of this one since it
	// was last asked. It is asked only after a turn that took suspiciously long.
	preempted func() bool

	worked time.Duration // when there was work last
	luck   int           // smoothed share of the gaps that spinLong outlasts, of maxLuck

	looked   time.Duration // when the turn before found nothing to do; 0: it did, or blocked
	gaveUp   time.Duration // when spinLong ended in vain, and nothing has come since; 0: it did not
	late     time.Duration // when work came as soon as that had ended, latest
	shyUntil time.Duration // there is no spinning before
	shyness  time.Duration // how long the last such time was
}

const (
	maxLuck = 256
	// interruption is the length of a turn that may have been interrupted.
	interruption = spinLong / 2
	// again is how soon a peer is late again that only has the CPU when this loop blocks.
	// One that its host or its collector held up for a moment is late once.
	again = 10 * time.Millisecond
	// minShyness is how long a loop does not spin after it was, and maxShyness what
	// that doubles to as long as each return to spinning ends likewise.
	minShyness = 10 * time.Millisecond
	maxShyness = time.Second
)

// look notes that a turn begins at now.
func (i *idleness) look(now time.Duration) {
	if i.looked != 0 && now-i.looked > interruption && i.preempted() {
		i.contended(now)
	}
	i.looked = 0
}

// work notes that there was work in the turn that began at began, done by now.
func (i *idleness) work(began, now time.Duration) {
	switch {
	case now-began > interruption && i.preempted():
		i.contended(now)
	case i.gaveUp != 0 && began-i.gaveUp < interruption:
		if began-i.late < again {
			i.contended(now) // it comes as soon as the CPU is free for the peer
		}
		i.late = began
	}
	i.gaveUp = 0
	if now-i.worked < spinLong {
		i.luck += (maxLuck - i.luck) / 8
	} else {
		i.luck -= i.luck / 8
	}
	i.worked = now
}

// spin says whether to look for work still, after a turn without; else the loop
// blocks.
func (i *idleness) spin(now time.Duration) bool {
	if now < i.shyUntil {
		return false
	}
	limit := spinLong
	if i.luck < maxLuck/4 {
		limit = spinShort
	}
	if now-i.worked < limit {
		i.looked = now
		return true
	}
	if limit == spinLong && i.gaveUp == 0 {
		i.gaveUp = now
	}
	return false
}

// contended notes that somebody else wants the CPU, be it the peer. Any host has such
// moments: a loop gets shyer only if it is told again soon after it spins again.
func (i *idleness) contended(now time.Duration) {
	switch spun := now - i.shyUntil; {
	case spun >= 4*i.shyness:
		i.shyness = minShyness
	case spun >= 0:
		i.shyness = min(2*i.shyness, maxShyness)
	}
	i.shyUntil = now + i.shyness
}

var pollNames = [...]string{"adaptive", "busy", "block"}

func (p Poll) String() string {
	if p < 0 || int(p) >= len(pollNames) {
		return fmt.Sprintf("Poll(%d)", int(p))
	}
	return pollNames[p]
}

// UnmarshalText reads the name of a policy.
func (p *Poll) UnmarshalText(text []byte) error {
	for i, name := range pollNames {
		if name == string(text) {
			*p = Poll(i)
			return nil
		}
	}
	return fmt.Errorf("poll is %q; use busy, adaptive or block", text)
}

// MarshalText is the inverse of UnmarshalText.
func (p Poll) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
