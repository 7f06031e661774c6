package peregrine_test

import (
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
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

// TestWhatWorkersWereGivenIsNotKept is not parallel, likewise: records of requests are, for those to come.
func TestWhatWorkersWereGivenIsNotKept(t *testing.T) {
	const calls, size, most = 8, 512 << 10, 2 << 20
	pool := peregrine.NewPool(calls, 0)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	server := serve(t)
	came, leave := make(chan bool), make(chan bool)
	require.NoError(t, server.Handle(7, func(r peregrine.Request) {
		came <- true
		<-leave
		r.Reply(nil)
	}, peregrine.Pooled(pool)))
	session, request := connect(t, server), make([]byte, size)
	before := heap()
	var over sync.WaitGroup
	for range calls {
		over.Go(func() {
			_, err := session.Call(within(t, time.Minute), 7, request, nil)
			assert.NoError(t, err)
		})
	}
	for range calls {
		<-came
	}
	for range calls {
		leave <- true
	}
	over.Wait()
	require.Eventually(t, func() bool { return server.Stats().ReassemblyBytes == 0 }, time.Minute, time.Millisecond,
		"the engine lets go once the replies have arrived")
	require.Less(t, heap()-before, most)
	runtime.KeepAlive(request)
}

// heap is what is in use, after a collection.
func heap() int {
	runtime.GC()
	runtime.GC() // and what pools still held at the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestAnIdleStreamIsSmall is not parallel, either.
func TestAnIdleStreamIsSmall(t *testing.T) {
	server := serve(t)
	release := make(chan struct{})
	served := make(chan struct{}, 1)
	require.NoError(t, server.HandleStream(talk, func(st *peregrine.Stream) error {
		served <- struct{}{}
		<-release
		return nil
	}))
	session := connect(t, server)
	open := func() *peregrine.Stream {
		st, err := session.Stream(t.Context(), talk, nil)
		require.NoError(t, err)
		<-served
		return st
	}
	all := []*peregrine.Stream{open()} // with what is made once
	// A KiB a side, and what the runtime has for the handler's goroutine (480 bytes, and
	// 96 while it waits), besides its stack of 2 KiB at least.
	const streams, most = 10_000, 2<<10 + 576
	before, stacks := heap(), stackBytes()
	for range streams {
		all = append(all, open())
	}
	each, stack := (heap()-before)/streams, (stackBytes()-stacks)/streams
	t.Logf("an idle stream takes %d bytes of Go's heap, both sides together, and %d of its handler's stack", each, stack)
	close(release)
	for _, st := range all {
		_, err := st.Recv(nil)
		require.ErrorIs(t, err, io.EOF)
	}
	require.Less(t, each, most)
}

// stackBytes is what goroutines have for stacks.
func stackBytes() int {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.StackInuse)
}
