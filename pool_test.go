package peregrine_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// One key's requests run one after the other, in order, and wait for no other key's
// that goes to another worker.
func TestRequestsOfAKeyWaitForEachOtherAlone(t *testing.T) {
	t.Parallel()
	const workers, each = 4, 20
	pool := peregrine.NewPool(workers, workers*each)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	server := serve(t)
	var running [workers]atomic.Int32
	var next [workers]byte // guarded by what is tested
	var all sync.WaitGroup
	all.Add(workers)
	require.NoError(t, server.Handle(7, func(r peregrine.Request) {
		key, number := r.Data()[0], r.Data()[1]
		if running[key].Add(1) != 1 {
			t.Errorf("two requests of key %d run at a time", key)
		}
		if number == 0 {
			all.Done()
			all.Wait() // until a request of each key runs
		}
		if next[key] != number {
			t.Errorf("request %d of key %d runs where %d was to", number, key, next[key])
		}
		next[key]++
		running[key].Add(-1)
		r.Reply(nil)
	}, peregrine.Partition(pool, func(data []byte) uint64 { return uint64(data[0]) })))
	s := connect(t, server)
	ended := make(chan error, workers*each)
	for number := range byte(each) {
		for key := range byte(workers) {
			s.Go(&peregrine.Call{Method: 7, Request: []byte{key, number}, Done: func(c *peregrine.Call) { ended <- c.Err }})
		}
	}
	for range workers * each {
		require.NoError(t, <-ended)
	}
}

// Requests go to the workers in turn, though the first has room for all of them.
func TestPooledRequestsAreSpreadOverTheWorkers(t *testing.T) {
	t.Parallel()
	const workers = 4
	pool := peregrine.NewPool(workers, 10*workers)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	server := serve(t)
	var all sync.WaitGroup
	all.Add(workers)
	require.NoError(t, server.Handle(7, func(r peregrine.Request) {
		all.Done()
		all.Wait() // until all run at a time
		r.Reply(nil)
	}, peregrine.Pooled(pool)))
	s := connect(t, server)
	ended := make(chan error, workers)
	for range workers {
		s.Go(&peregrine.Call{Method: 7, Done: func(c *peregrine.Call) { ended <- c.Err }})
	}
	for range workers {
		require.NoError(t, <-ended)
	}
}

// heldWorker is a server with one worker, which a request holds until release.
func heldWorker(t *testing.T) (server *peregrine.Endpoint, ran *atomic.Int32, release func()) {
	t.Helper()
	pool := peregrine.NewPool(1, 4)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	server = serve(t)
	ran = new(atomic.Int32)
	over, begun := make(chan struct{}), make(chan struct{})
	require.NoError(t, server.Handle(7, func(r peregrine.Request) {
		if ran.Add(1) == 1 {
			close(begun)
			<-over
		}
		r.Reply(nil)
	}, peregrine.Pooled(pool)))
	connect(t, server).Go(&peregrine.Call{Method: 7, Done: func(*peregrine.Call) {}})
	<-begun
	release = sync.OnceFunc(func() { close(over) })
	t.Cleanup(release)
	return server, ran, release
}

// The server hears that the call was canceled, which had no deadline.
func TestAWorkerDoesNotBeginWhatWasCanceled(t *testing.T) {
	t.Parallel()
	server, ran, release := heldWorker(t)
	s := connect(t, server)
	ctx, cancel := context.WithCancel(context.Background())
	canceled := make(chan error, 1)
	go func() {
		_, err := s.Call(ctx, 7, nil, nil)
		canceled <- err
	}()
	require.Eventually(t, func() bool { return server.Stats().RequestsHandled == 2 }, time.Minute, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-canceled, context.Canceled)
	_, err := s.Call(within(t, time.Minute), echo, nil, nil)
	require.NoError(t, err)
	release() // the server knows: the cancel went ahead of that call
	_, err = s.Call(within(t, time.Minute), 7, nil, nil)
	require.NoError(t, err)
	require.EqualValues(t, 2, ran.Load())
}

// The server hears nothing of its client any more, but has its own clock.
func TestAWorkerDoesNotBeginWhatHasExpired(t *testing.T) {
	t.Parallel()
	server, ran, release := heldWorker(t)
	lonely := connect(t, server, peregrine.WithFault(""))
	timeout := 2 * time.Second // long enough to arrive
	s := connect(t, server)
	go lonely.Call(within(t, timeout), 7, nil, nil)
	require.Eventually(t, func() bool { return server.Stats().RequestsHandled == 2 }, time.Minute, time.Millisecond)
	arrived := time.Now()
	require.NoError(t, lonely.Endpoint().SetFaults("loss=1"))
	time.Sleep(time.Until(arrived.Add(timeout + time.Millisecond)))
	release()
	_, err := s.Call(within(t, time.Minute), 7, nil, nil)
	require.NoError(t, err)
	require.EqualValues(t, 2, ran.Load())
}
