package peregrine

import (
	"fmt"
	"time"
)

// Poll says what a loop does when it has no work.
type Poll int

const (
	// Adaptive spins for a while, then blocks.
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

// idleness decides how long an adaptive loop spins, by how often work came in
// time lately.
type idleness struct {
	worked time.Duration // when there was work last
	luck   int           // smoothed share of the gaps that spinLong outlasts, of maxLuck
}

const maxLuck = 256

// work notes that there was work at now.
func (i *idleness) work(now time.Duration) {
	if now-i.worked < spinLong {
		i.luck += (maxLuck - i.luck) / 8
	} else {
		i.luck -= i.luck / 8
	}
	i.worked = now
}

// spin says whether to look for work still.
func (i *idleness) spin(now time.Duration) bool {
	limit := spinLong
	if i.luck < maxLuck/4 {
		limit = spinShort
	}
	return now-i.worked < limit
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
