package peregrine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A loop that is about to block hears of what is posted in that moment: nothing else
// would wake it.
func TestWhatIsPostedAsTheLoopFallsAsleepIsDone(t *testing.T) {
	t.Parallel()
	rounds := 50_000
	if testing.Short() {
		rounds /= 10
	}
	e, err := Listen("udp://127.0.0.1:0", WithPoll(Block), WithConfig(Config{KeepAlive: 24 * time.Hour}))
	require.NoError(t, err)
	defer e.Close()
	done := make(chan struct{}, 1)
	lost := time.NewTimer(time.Minute)
	defer lost.Stop()
	for i := range rounds {
		lost.Reset(time.Minute)
		require.True(t, e.loops[0].post(message{do: func() { done <- struct{}{} }}))
		select {
		case <-done:
		case <-lost.C:
			t.Fatalf("the loop sleeps, and what was posted in round %d waits", i)
		}
	}
}
