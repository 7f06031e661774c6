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

// spinTime is how long an adaptive loop looks for work before it blocks: about
// what blocking and waking cost, so that it never loses more than half.
const spinTime = 50 * time.Microsecond

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
