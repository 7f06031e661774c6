package conformance

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// requireNothingLeft looks, when the story is over and its transports are
// closed, for what was not there before.
func requireNothingLeft(t *testing.T, f Factory) {
	t.Helper()
	time.Sleep(time.Nanosecond) // opens the runtime's poller, which is nobody's leak
	goroutines := goleak.IgnoreCurrent()
	before := descriptors()
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		const promise = "Close releases everything"
		var err error
		after := 0
		for late := expires(); ; {
			err, after = goleak.Find(goroutines), descriptors()
			if err == nil && after == before || late() {
				break
			}
		}
		require.NoError(t, err, promise)
		require.Equal(t, before, after, promise+": descriptors")
		if f.Leaks != nil {
			require.Empty(t, f.Leaks(), promise)
		}
	})
}

// descriptors is the number of this process's open ones, or 0 where the system
// does not tell.
func descriptors() int {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(open)
}
