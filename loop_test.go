package peregrine

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// wakes counts how often it is woken.
type wakes struct {
	transport.Transport
	count int
}

func (w *wakes) Wake() { w.count++ }

// What is posted as the loop has looked at its inbox for the last time, and is about to block, wakes it: nothing else would.
func TestWhatIsPostedAsTheLoopFallsAsleepWakesIt(t *testing.T) {
	t.Parallel()
	tr := &wakes{}
	l := &loop{tr: tr}
	l.inbox.open()
	require.True(t, l.dozes(func() bool {
		require.True(t, l.post(message{do: func() {}}))
		require.True(t, l.post(message{do: func() {}}))
		return true // the look was before
	}))
	require.Equal(t, 1, tr.count, "once is enough")
}
