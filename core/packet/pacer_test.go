package packet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAHostThatWakesLateStillKeepsTheRate(t *testing.T) {
	t.Parallel()
	p := &pacer{rate: 1_000_000, waiting: true} // 1000 bytes a millisecond
	p.last = time.Second
	now := time.Second
	for range 1000 {
		p.spend(1000, now)
		now = p.due() + maxLate/2 // woken late each time
	}
	require.InDelta(t, float64(2*time.Second), float64(p.due()), float64(2*maxLate))
}

func TestAPauseEarnsNoBurst(t *testing.T) {
	t.Parallel()
	p := &pacer{rate: 1_000_000}
	p.spend(1000, time.Second)
	p.spend(1000, 2*time.Second)
	require.Equal(t, 2*time.Second+time.Millisecond, p.due())
}
