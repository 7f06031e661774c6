package preempt_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/affinity"
	"github.com/peregrine-rpc/peregrine/internal/preempt"
)

// Two threads that spin on one CPU take it from each other.
func TestAThreadThatSharesItsCPUIsPreempted(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	other := make(chan error, 1)
	go func() {
		_, err := affinity.Pin(0) // for good: the thread ends with the goroutine
		other <- err
		for err == nil {
			select {
			case <-over:
				return
			default:
			}
		}
	}()
	defer close(over)
	require.NoError(t, <-other)
	told := make(chan bool)
	go func() {
		if _, err := affinity.Pin(0); err != nil {
			told <- false
			return
		}
		var w preempt.Watch
		w.Preempted()
		preempted := false
		for began := time.Now(); !preempted && time.Since(began) < time.Minute; {
			preempted = w.Preempted()
		}
		told <- preempted
	}()
	require.True(t, <-told)
}

func TestAThreadThatIsNotKnownIsNotTakenForPreempted(t *testing.T) {
	t.Parallel()
	var w preempt.Watch
	for range 10 {
		told := make(chan bool)
		go func() {
			runtime.LockOSThread() // for good: the next goroutine gets another
			told <- w.Preempted()
		}()
		require.False(t, <-told)
	}
}
