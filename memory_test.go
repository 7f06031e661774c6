package peregrine_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestADialIsSmall is not parallel: it looks at the whole heap.
func TestADialIsSmall(t *testing.T) {
	server := serve(t)
	connect(t, server) // what is made once
	const sessions, most = 10, 256 << 10
	before := heap()
	for range sessions {
		connect(t, server)
	}
	each := (heap() - before) / sessions
	t.Logf("a Dial takes %d bytes of Go's heap", each)
	require.Less(t, each, most)
}

// heap is what is in use, after a collection.
func heap() int {
	runtime.GC()
	runtime.GC() // and what pools still held at the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
