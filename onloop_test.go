package peregrine_test

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// on runs f on one of e's loops: in an inline handler of a method that it calls.
func on(t *testing.T, e *peregrine.Endpoint, f func()) {
	t.Helper()
	ran := make(chan struct{}, 1)
	require.NoError(t, e.Handle(100, func(r peregrine.Request) {
		f()
		ran <- struct{}{}
		r.Reply(nil)
	}))
	_, err := connect(t, e).Call(within(t, time.Minute), 100, nil, nil)
	require.NoError(t, err)
	<-ran
}

// What would wait for the loop that it runs on says so at once.
func TestBlockingOnTheLoopIsAnError(t *testing.T) {
	t.Parallel()
	other := serve(t)
	for _, loops := range []int{1, 2} { // with two, also for the other one
		server := serve(t, peregrine.WithLoops(loops))
		s, err := server.Dial(within(t, time.Minute), other.Addr().String())
		require.NoError(t, err)
		var errs []error
		on(t, server, func() {
			_, call := s.Call(context.Background(), echo, nil, nil)
			_, ping := s.Ping(context.Background())
			_, dial := server.Dial(context.Background(), other.Addr().String())
			if s.WaitForStateChange(context.Background(), s.State()) {
				t.Error("the state changed without the loop")
			}
			errs = []error{call, ping, dial, server.Shutdown(context.Background())}
		})
		for i, err := range errs {
			require.ErrorIs(t, err, peregrine.ErrOnLoop, "%d of %d loops", i, loops)
			require.Equal(t, peregrine.FailedPrecondition, peregrine.CodeOf(err))
		}
		_, err = s.Call(within(t, time.Minute), echo, nil, nil)
		require.NoError(t, err, "all goes on")
	}
}

// A completion runs on a loop, too.
func TestBlockingInACompletionIsAnError(t *testing.T) {
	t.Parallel()
	s := connect(t, serve(t))
	errs := make(chan error, 2)
	s.Go(&peregrine.Call{Method: echo, Done: func(*peregrine.Call) {
		_, err := s.Call(context.Background(), echo, nil, nil)
		errs <- err
	}})
	s.Loop(func() {
		_, err := s.Ping(context.Background())
		errs <- err
	})
	for range 2 {
		require.ErrorIs(t, <-errs, peregrine.ErrOnLoop)
	}
}

// Submit belongs on the loop; elsewhere it does what Go does, and no harm.
func TestSubmitOffTheLoopIsGo(t *testing.T) {
	t.Parallel()
	s := connect(t, serve(t))
	const each = 200
	ended := make(chan error, 4*each)
	for range 4 {
		go func() {
			for range each {
				s.Submit(&peregrine.Call{Method: echo, Done: func(c *peregrine.Call) { ended <- c.Err }})
			}
		}()
	}
	for range 4 * each {
		require.NoError(t, <-ended)
	}
}

// A handler may set handlers, also at the same time as one of another loop.
func TestAHandlerSetsHandlers(t *testing.T) {
	t.Parallel()
	server := serve(t, peregrine.WithLoops(2))
	require.NoError(t, server.Handle(7, func(r peregrine.Request) {
		if err := server.Handle(8, func(r peregrine.Request) { r.Reply([]byte("new")) }); err != nil {
			r.Fail(peregrine.Internal, err.Error())
			return
		}
		r.Reply(nil)
	}))
	for range 4 { // so that both loops have some
		s := connect(t, server)
		for range 20 {
			_, err := s.Call(within(t, time.Minute), 7, nil, nil)
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool {
			reply, err := s.Call(within(t, time.Minute), 8, nil, nil)
			return err == nil && string(reply) == "new"
		}, time.Minute, time.Millisecond)
	}
	require.NoError(t, server.Close())
	require.Equal(t, peregrine.Unavailable, code(t, server.Handle(7, nil)), "a closed endpoint says so")
}

// Close may be called anywhere: on the loop the endpoint closes behind the
// handler.
func TestCloseOnTheLoopDoesNotWait(t *testing.T) {
	t.Parallel()
	server := serve(t)
	s := connect(t, server)
	require.NoError(t, server.Handle(7, func(r peregrine.Request) {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}))
	_, err := s.Call(within(t, time.Minute), 7, nil, nil)
	require.Error(t, err)
	require.NoError(t, server.Close())

	own := connect(t, serve(t))
	closed := make(chan error, 1)
	own.Go(&peregrine.Call{Method: echo, Done: func(*peregrine.Call) { closed <- own.Close() }})
	require.NoError(t, <-closed)
	_, err = own.Call(within(t, time.Minute), echo, nil, nil)
	require.Error(t, err)
}

// held is a session whose loop a function holds until release.
func held(t *testing.T) (s *peregrine.Session, client *peregrine.Endpoint, release func()) {
	client, err := peregrine.Listen("udp://127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	s, err = client.Dial(within(t, time.Minute), serve(t).Addr().String())
	require.NoError(t, err)
	holds, done := make(chan struct{}), make(chan struct{})
	s.Loop(func() {
		close(holds)
		<-done
	})
	<-holds
	return s, client, func() { close(done) }
}

// Every method with a context returns when it ends, whoever holds the loop.
func TestContextsEndWhatWaitsForALoopThatIsHeld(t *testing.T) {
	t.Parallel()
	s, client, release := held(t)
	soon := func() context.Context { return within(t, 10*time.Millisecond) }

	_, err := s.Call(soon(), echo, nil, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, peregrine.ErrLoopHeld, "it was taken back before the loop saw it")
	var e *peregrine.Error
	require.ErrorAs(t, err, &e)
	require.False(t, e.MayHaveExecuted)

	_, err = s.Ping(soon())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = client.Dial(soon(), "127.0.0.1:9")
	require.ErrorIs(t, err, context.DeadlineExceeded)

	err = client.Shutdown(soon())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, peregrine.ErrLoopHeld, "it closes later")
	release()
	require.NoError(t, client.Close())
}

// A call that the loop has seen before a handler holds it up: its caller is told
// that its memory is not free.
func TestACallUnderWayInALoopThatIsHeldSaysSo(t *testing.T) {
	t.Parallel()
	server := serve(t)
	begun := make(chan struct{}, 1)
	require.NoError(t, server.Handle(7, func(r peregrine.Request) {
		r.Defer() // never answers
		begun <- struct{}{}
	}))
	s := connect(t, server)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := s.Call(ctx, 7, []byte("request"), make([]byte, 8))
		ended <- err
	}()
	<-begun
	holds, release := make(chan struct{}), make(chan struct{})
	s.Loop(func() {
		close(holds)
		<-release
	})
	<-holds
	cancel()
	err := <-ended
	close(release)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, peregrine.ErrLoopHeld)
	var e *peregrine.Error
	require.ErrorAs(t, err, &e)
	require.True(t, e.MayHaveExecuted)
	_, err = s.Call(within(t, time.Minute), echo, nil, nil)
	require.NoError(t, err)
}

// With a context that is over nothing is sent, so that nothing executes.
func TestACallWithAContextThatIsOverDoesNotExecute(t *testing.T) {
	t.Parallel()
	server := serve(t)
	var ran atomic.Int32
	require.NoError(t, server.Handle(7, func(r peregrine.Request) {
		ran.Add(1)
		r.Reply(nil)
	}))
	s := connect(t, server)
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	late, cancelLate := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancelLate()
	for range 200 {
		_, err := s.Call(canceled, 7, nil, nil)
		require.ErrorIs(t, err, context.Canceled)
		_, err = s.Call(late, 7, nil, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = s.Call(odd{context.Background(), time.Now().Add(-time.Hour)}, 7, nil, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	_, err := s.Call(within(t, time.Minute), echo, nil, nil)
	require.NoError(t, err)
	require.Zero(t, ran.Load())
}

// odd is a context with a deadline of its own, and no timer for it.
type odd struct {
	context.Context
	at time.Time
}

func (o odd) Deadline() (time.Time, bool) { return o.at, true }

// Deadlines that are further away than time.Duration reaches are deadlines.
func TestDistantDeadlinesAreNoneTooSoon(t *testing.T) {
	t.Parallel()
	s := connect(t, serve(t))
	for _, at := range []time.Time{
		time.Date(36812, 2, 20, 0, 0, 0, 0, time.UTC), time.Now().Add(math.MaxInt64), time.Unix(1<<60, 0), time.Now().Add(48 * time.Hour),
	} {
		reply, err := s.Call(odd{within(t, time.Minute), at}, echo, []byte("far"), nil)
		require.NoError(t, err, "%v", at)
		require.Equal(t, "far", string(reply))
	}
}

// A handler on a worker may close its own pool, which then ends behind it.
func TestAPoolClosesFromItsOwnWorker(t *testing.T) {
	t.Parallel()
	pool := peregrine.NewPool(2, 4)
	server := serve(t)
	require.NoError(t, server.Handle(7, func(r peregrine.Request) {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
		r.Reply([]byte("closed"))
	}, peregrine.Pooled(pool)))
	s := connect(t, server)
	reply, err := s.Call(within(t, time.Minute), 7, nil, nil)
	require.NoError(t, err)
	require.Equal(t, "closed", string(reply))
	require.NoError(t, pool.Close(), "elsewhere it waits, and closing twice is no error")
	_, err = s.Call(within(t, time.Minute), 7, nil, nil)
	require.Equal(t, peregrine.Unavailable, code(t, err), "what comes later is refused, and crashes nothing")
}

// Placements that cannot work are refused where they are made, by name.
func TestPlacementsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	server := serve(t)
	var zero peregrine.Pool
	good := peregrine.NewPool(1, 0)
	t.Cleanup(func() { require.NoError(t, good.Close()) })
	reply := func(r peregrine.Request) { r.Reply(nil) }
	for name, c := range map[string]struct {
		where peregrine.HandleOption
		key   string
	}{
		"a zero pool":      {peregrine.Pooled(&zero), "pool"},
		"no pool":          {peregrine.Pooled(nil), "pool"},
		"a negative depth": {peregrine.Pooled(peregrine.NewPool(1, -1)), "pool"},
		"no workers":       {peregrine.Partition(peregrine.NewPool(0, 1), func([]byte) uint64 { return 0 }), "pool"},
		"no key":           {peregrine.Partition(good, nil), "key"},
		"a negative limit": {peregrine.Go(-1), "limit"},
		"a limit of none":  {peregrine.Go(0), "limit"},
	} {
		var refused *peregrine.ConfigError
		require.ErrorAs(t, server.Handle(7, reply, c.where), &refused, name)
		require.Equal(t, c.key, refused.Key, name)
		_, err := peregrine.Listen("udp://127.0.0.1:0", peregrine.WithHandler(7, reply, c.where))
		require.ErrorAs(t, err, &refused, name)
		require.Equal(t, c.key, refused.Key, name)
	}
	require.NoError(t, zero.Close())
	nothing := func(peregrine.Handler) peregrine.Handler { return nil }
	_, err := peregrine.Listen("udp://127.0.0.1:0", peregrine.WithHandler(7, reply), peregrine.WithHandlerInterceptor(nothing))
	require.ErrorContains(t, err, "interceptor")
}
