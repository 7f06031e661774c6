package goroutine_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/goroutine"
)

func TestEachLivingGoroutineHasAnIDOfItsOwn(t *testing.T) {
	t.Parallel()
	const many = 100
	ids := make([]goroutine.ID, many)
	var known, ended sync.WaitGroup
	known.Add(many)
	release := make(chan struct{})
	for i := range ids {
		ended.Go(func() {
			ids[i] = goroutine.Self()
			known.Done()
			<-release
		})
	}
	known.Wait()
	close(release)
	ended.Wait()
	seen := map[goroutine.ID]bool{0: true, goroutine.Self(): true}
	for _, id := range ids {
		require.False(t, seen[id], "two goroutines, or none, have ID %x", id)
		seen[id] = true
	}
}

func TestAnIDOutlastsItsGoroutinesMoves(t *testing.T) {
	t.Parallel()
	self := goroutine.Self()
	require.Equal(t, self, deep(1000), "after its stack has grown")
	for range 100 {
		runtime.Gosched() // perhaps to another thread
		require.Equal(t, self, goroutine.Self())
	}
	runtime.GC()
	require.Equal(t, self, goroutine.Self())
}

//go:noinline
func deep(n int) goroutine.ID {
	var frame [1024]byte
	if frame[n%len(frame)] = 1; n > 0 {
		return deep(n-1) + goroutine.ID(frame[n%len(frame)]) - 1
	}
	return goroutine.Self()
}

func TestADeferredFunctionRunsOnTheGoroutineThatEnds(t *testing.T) {
	t.Parallel()
	var before, after goroutine.ID
	var ended sync.WaitGroup
	ended.Go(func() {
		defer func() { after = goroutine.Self() }()
		before = goroutine.Self()
		runtime.Goexit()
	})
	ended.Wait()
	require.Equal(t, before, after)
}

func BenchmarkSelf(b *testing.B) {
	for b.Loop() {
		if goroutine.Self() == 0 {
			b.Fatal("no ID")
		}
	}
}
