package peregrine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// after plays gaps between spells of work and says how long the loop then spins.
func after(gaps ...time.Duration) time.Duration {
	i := idleness{luck: maxLuck}
	for range 50 {
		for _, gap := range gaps {
			i.work(i.worked + gap)
		}
	}
	if i.spin(i.worked + spinLong - 1) {
		return spinLong
	}
	if i.spin(i.worked + spinShort - 1) {
		return spinShort
	}
	return 0
}

func TestALoopSpinsForAsLongAsItPays(t *testing.T) {
	t.Parallel()
	require.Equal(t, spinLong, after(10*time.Microsecond), "busy")
	require.Equal(t, spinLong, after(130*time.Microsecond), "a peer that has to wake up each time")
	require.Equal(t, spinLong, after(10*time.Microsecond, 10*time.Microsecond, time.Millisecond), "with pauses")
	require.Equal(t, spinShort, after(time.Millisecond), "rare work")
}
