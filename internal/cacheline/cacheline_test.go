package cacheline_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/internal/affinity"
	"github.com/peregrine-rpc/peregrine/internal/cacheline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestALineTravelsBetweenTwoCPUs(t *testing.T) {
	for cpu := range 2 {
		undo, err := affinity.Pin(cpu)
		if err != nil {
			t.Skipf("cannot pin a thread to CPU %d: %v", cpu, err)
		}
		undo()
	}
	procs := runtime.GOMAXPROCS(0)
	rtt, err := cacheline.RoundTrip(0, 1, 2*time.Millisecond)
	require.NoError(t, err)
	require.Positive(t, rtt)
	require.Equal(t, procs, runtime.GOMAXPROCS(0))
}

func TestOneCPUHasNoRoundTrip(t *testing.T) {
	t.Parallel()
	_, err := cacheline.RoundTrip(1, 1, time.Millisecond)
	require.ErrorIs(t, err, cacheline.ErrOneCPU)
}

func TestACPUThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	_, err := cacheline.RoundTrip(0, 1<<20, time.Millisecond)
	require.Error(t, err)
}

func TestLabels(t *testing.T) {
	t.Parallel()
	require.Equal(t, "near", cacheline.Label(92*time.Nanosecond))
	require.Equal(t, "far", cacheline.Label(500*time.Nanosecond))
}
