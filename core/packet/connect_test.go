package packet

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAttemptsComeEverMoreSeldomAndNotInStep(t *testing.T) {
	t.Parallel()
	client := &Endpoint{random: rand.NewChaCha8([32]byte{1})}
	least, most := time.Duration(math.MaxInt64), time.Duration(0)
	for range 1000 {
		d := client.backoff(1)
		least, most = min(least, d), max(most, d)
	}
	require.InDelta(t, MinBackoff*4/5, least, float64(time.Millisecond))
	require.InDelta(t, MinBackoff*6/5, most, float64(time.Millisecond))
	require.Greater(t, client.backoff(3), client.backoff(1))
	for _, failures := range []int{20, 1000, math.MaxInt} {
		require.InDelta(t, MaxBackoff, client.backoff(failures), float64(MaxBackoff/5))
	}
}
