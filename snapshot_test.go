package peregrine_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// snapshot is one that must succeed.
func snapshot(t *testing.T, e *peregrine.Endpoint) peregrine.Snapshot {
	t.Helper()
	s, err := e.Snapshot(within(t, time.Minute), 100)
	for err != nil { // a loop that is not scheduled for long
		s, err = e.Snapshot(within(t, time.Minute), 100)
	}
	return s
}

func method(s peregrine.Snapshot, side peregrine.Side, number int) *peregrine.MethodStats {
	i := slices.IndexFunc(s.Methods, func(m peregrine.MethodStats) bool { return m.Side == side && m.Method == number })
	if i < 0 {
		return nil
	}
	return &s.Methods[i]
}

func TestASnapshotCountsCallsByMethodAndCode(t *testing.T) {
	t.Parallel()
	const failing, slow, none = 2, 3, 9
	server := serve(t, peregrine.WithMetrics(), peregrine.WithLoops(2))
	require.NoError(t, server.Handle(failing, func(r peregrine.Request) { r.Fail(peregrine.NotFound, "no such key") }))
	require.NoError(t, server.Handle(slow, func(r peregrine.Request) {
		later := r.Defer()
		time.AfterFunc(30*time.Millisecond, func() { later.Reply(nil) })
	}))
	s := connect(t, server, peregrine.WithMetrics())
	for range 5 {
		requireEcho(t, s)
	}
	for _, m := range []uint16{failing, slow, none} {
		_ = outcome(s, &peregrine.Call{Method: m})
	}

	there := snapshot(t, server)
	require.Len(t, there.Methods, 4)
	require.Equal(t, uint64(5), method(there, peregrine.Server, echo).Codes[peregrine.OK])
	require.Equal(t, uint64(1), method(there, peregrine.Server, failing).Codes[peregrine.NotFound])
	require.Equal(t, uint64(1), method(there, peregrine.Server, peregrine.OtherMethods).Codes[peregrine.Unimplemented])
	took := &method(there, peregrine.Server, slow).Latency
	require.Equal(t, uint64(1), took.Count())
	require.GreaterOrEqual(t, took.Sum(), 29*time.Millisecond)
	require.Len(t, there.Loops, 2)
	require.Len(t, there.Peers, 1)
	require.Equal(t, uint64(7), there.Stats.RequestsHandled)

	here := snapshot(t, s.Endpoint())
	require.Equal(t, uint64(5), method(here, peregrine.Client, echo).Latency.Count())
	require.Equal(t, uint64(1), method(here, peregrine.Client, none).Codes[peregrine.Unimplemented])
	require.GreaterOrEqual(t, method(here, peregrine.Client, slow).Latency.Sum(), 29*time.Millisecond)
	l := here.Loops[0]
	require.Positive(t, l.BusyTurns)
	require.LessOrEqual(t, l.BusyTurns, l.Turns)
	require.Positive(t, l.Busy)
	require.LessOrEqual(t, l.Busy, l.Age)

	plain := snapshot(t, serve(t))
	require.Empty(t, plain.Methods, "without WithMetrics")
	one, err := server.Snapshot(context.Background(), 0)
	require.NoError(t, err)
	require.Empty(t, one.Peers)
	require.Equal(t, 1, one.MorePeers)
}

func TestTheHandlerThatHoldsTheLoopIsNamed(t *testing.T) {
	t.Parallel()
	const slow = 7
	server := serve(t)
	var held atomic.Int64 // time.Duration: the detector sees no order between sender and receiver of a datagram
	held.Store(int64(20 * time.Millisecond))
	require.NoError(t, server.Handle(slow, func(r peregrine.Request) {
		time.Sleep(time.Duration(held.Load()))
		r.Reply(nil)
	}))
	s := connect(t, server)
	for { // a busy host may hold a turn for longer, but not for ever longer
		require.NoError(t, outcome(s, &peregrine.Call{Method: slow}))
		l := snapshot(t, server).Loops[0]
		require.GreaterOrEqual(t, l.Longest, time.Duration(held.Load()))
		require.Positive(t, l.LongTurns)
		if l.LongestMethod == slow {
			break
		}
		held.Store(2 * held.Load())
	}
}

func TestALoopThatIsHeldIsLeftOut(t *testing.T) {
	t.Parallel()
	server := serve(t)
	enter, leave := make(chan struct{}), make(chan struct{})
	require.NoError(t, server.Handle(7, func(r peregrine.Request) {
		close(enter)
		<-leave
		r.Reply(nil)
	}))
	s := connect(t, server)
	done := make(chan error, 1)
	go func() { done <- outcome(s, &peregrine.Call{Method: 7}) }()
	<-enter
	held, err := server.Snapshot(context.Background(), 10)
	require.ErrorIs(t, err, peregrine.ErrLoopHeld)
	require.Empty(t, held.Loops)
	close(leave)
	require.NoError(t, <-done)
	require.Len(t, snapshot(t, server).Loops, 1)
}

func TestAHistogramIsRightToSixPercent(t *testing.T) {
	t.Parallel()
	var all []time.Duration
	h := new(peregrine.Histogram)
	random := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		d := time.Duration(random.Uint64() >> (30 + random.IntN(30)))
		all = append(all, d)
		peregrine.Record(h, d)
		found := false
		one := new(peregrine.Histogram)
		peregrine.Record(one, d)
		for bounds, n := range one.Buckets() {
			found = true
			require.Equal(t, uint64(1), n)
			require.GreaterOrEqual(t, d, bounds[0])
			require.Less(t, d, bounds[1])
			require.LessOrEqual(t, float64(bounds[1]-bounds[0]-1), float64(d)/16)
		}
		require.True(t, found)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.1, 0.5, 0.99, 0.999} {
		want := all[int(q*float64(len(all)))]
		require.InDelta(t, float64(want), float64(h.Quantile(q)), max(1, 0.07*float64(want)), "%v", q)
	}
	require.Equal(t, uint64(len(all)), h.Count())
	both := new(peregrine.Histogram)
	both.Add(h)
	both.Add(h)
	require.Equal(t, 2*h.Sum(), both.Sum())
	require.Zero(t, new(peregrine.Histogram).Quantile(0.5))
	peregrine.Record(h, -1)
	peregrine.Record(h, 1<<62)
	require.Equal(t, uint64(len(all)+2), h.Count())
}
