package arena

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnArenaIsNoneOfTheHeap(t *testing.T) {
	const size = 64 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a, err := New(size)
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
	require.Len(t, a.Bytes(), size)
	a.Bytes()[size-1] = 1
	a.Free()
	require.Zero(t, a.Bytes()[size-1], "who is late finds other contents, and no fault")
	a.Bytes()[0] = 1
	runtime.KeepAlive(a)
}

func TestAddressesServeAgainWhenNobodyRefersToTheArena(t *testing.T) {
	t.Parallel()
	const size = 3 << 20 // no other test's
	held, err := New(size)
	require.NoError(t, err)
	held.Free()
	seen := map[*byte]bool{}
	for end := time.Now().Add(time.Minute); ; {
		a, err := New(size)
		require.NoError(t, err)
		first := &a.Bytes()[0]
		require.NotSame(t, &held.Bytes()[0], first, "its owner is still about")
		require.Zero(t, *first)
		*first = 1
		again := seen[first]
		seen[first] = true
		a.Free()
		*first = 1 // late
		if again {
			return
		}
		require.True(t, time.Now().Before(end), "no address comes again")
		runtime.GC()
	}
}
