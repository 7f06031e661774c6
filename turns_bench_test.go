package peregrine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// contestant is one of several ways to do the same, of which a turn does so many.
type contestant struct {
	name string
	turn func(tb testing.TB, many int)
}

// byTurns has contestants do the same by turns, so that whatever else the host does falls on
// all alike, and reports the rate of each as a multiple of the first's: the median over the
// rounds.
func byTurns(b *testing.B, slice int, all []contestant) {
	chance := rand.New(rand.NewPCG(1, 2))
	ratios, took := make([][]float64, len(all)), make([]time.Duration, len(all))
	for _, c := range all {
		c.turn(b, slice) // warm
	}
	rounds := max(1, b.N/(slice*len(all))) // an operation is one thing done
	b.ResetTimer()
	for range rounds {
		for _, i := range chance.Perm(len(all)) {
			began := time.Now()
			all[i].turn(b, slice)
			took[i] = time.Since(began)
		}
		for i := range all {
			ratios[i] = append(ratios[i], float64(took[0])/float64(took[i]))
		}
	}
	for i, c := range all[1:] {
		slices.Sort(ratios[i+1])
		b.ReportMetric(ratios[i+1][rounds/2], c.name+"/"+all[0].name)
	}
}

// The methods of a server whose echoes run in different places.
const (
	echoInline uint16 = 1 + iota
	echoPooled
	echoPartitioned
	echoGo
)

// dialPlaces is dialMem to a server that has all places.
func dialPlaces(b *testing.B) *peregrine.Session {
	none := peregrine.WithCongestionControl("none")
	server, err := peregrine.Listen("mem://127.0.0.1:0", none)
	require.NoError(b, err)
	pool := peregrine.NewPool(1, inFlight)
	b.Cleanup(func() {
		require.NoError(b, server.Close())
		require.NoError(b, pool.Close())
	})
	for method, place := range map[uint16]peregrine.HandleOption{
		echoInline:      peregrine.Inline(),
		echoPooled:      peregrine.Pooled(pool),
		echoPartitioned: peregrine.Partition(pool, func([]byte) uint64 { return 0 }),
		echoGo:          peregrine.Go(4 * inFlight), // a goroutine ends after its answer
	} {
		require.NoError(b, server.Handle(method, func(r peregrine.Request) { r.Reply(r.Data()) }, place))
	}
	s, err := peregrine.Dial(b.Context(), server.Addr().String(), peregrine.WithTransport("mem://"), none)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	return s
}

// submit does small calls in the continuation form.
func submit(tb testing.TB, s *peregrine.Session, method uint16, many int) {
	finished := make(chan error, 1)
	s.Loop(func() {
		started, left := 0, many
		var failed error
		done := func(c *peregrine.Call) {
			if left--; c.Err != nil {
				failed = c.Err
			}
			switch {
			case left == 0:
				finished <- failed
			case started < many:
				started++
				s.Submit(c)
			}
		}
		for started < min(inFlight, many) {
			started++
			s.Submit(&peregrine.Call{Method: method, Request: make([]byte, 32), Buf: make([]byte, 32), Done: done})
		}
	})
	require.NoError(tb, <-finished)
}

// call does small calls that block a goroutine each.
func call(tb testing.TB, s *peregrine.Session, many int) {
	ctx, finished := context.Background(), make(chan error)
	for i := range inFlight {
		go func() {
			request, buf := make([]byte, 32), make([]byte, 32)
			for range many/inFlight + min(1, max(0, many%inFlight-i)) {
				if reply, err := s.Call(ctx, 1, request, buf); err != nil || len(reply) != len(request) {
					finished <- fmt.Errorf("%d bytes, %w", len(reply), err)
					return
				}
			}
			finished <- nil
		}()
	}
	for range inFlight {
		require.NoError(tb, <-finished)
	}
}

// Small calls to a handler by where it runs, one place each.
func BenchmarkPlace(b *testing.B) {
	for method, name := range map[uint16]string{
		echoInline: "inline", echoPooled: "pooled", echoPartitioned: "partitioned", echoGo: "go",
	} {
		b.Run(name, func(b *testing.B) {
			s := dialPlaces(b)
			b.ReportAllocs()
			b.ResetTimer()
			submit(b, s, method, b.N)
		})
	}
}

// The same by turns: what a place other than the loop leaves of the rate.
func BenchmarkPlaces(b *testing.B) {
	s := dialPlaces(b)
	place := func(name string, method uint16) contestant {
		return contestant{name, func(tb testing.TB, many int) { submit(tb, s, method, many) }}
	}
	byTurns(b, 5_000, []contestant{
		place("inline", echoInline), place("pooled", echoPooled),
		place("partitioned", echoPartitioned), place("go", echoGo),
	})
}

// Calls of 64 goroutines beside 64 in the continuation form, and beside the same number of
// hand-overs there and back by Go channels, which no call of a goroutine can do without.
func BenchmarkCallers(b *testing.B) {
	s := dialMem(b)
	byTurns(b, 5_000, []contestant{
		{"submit", func(tb testing.TB, many int) { submit(tb, s, 1, many) }},
		{"call", func(tb testing.TB, many int) { call(tb, s, many) }},
		{"channel", func(_ testing.TB, many int) { channels(many) }},
	})
}

// What it costs to have somebody else do something and be woken when it is done, with 64
// goroutines that wait: by a loop, and by a goroutine and Go channels. A whole call is beside it.
func BenchmarkWaking(b *testing.B) {
	s := dialMem(b)
	byTurns(b, 5_000, []contestant{
		{"channel", func(_ testing.TB, many int) { channels(many) }},
		{"loop", func(_ testing.TB, many int) { loops(s, many) }},
		{"call", func(tb testing.TB, many int) { call(tb, s, many) }},
	})
}

// loops is what call does with a loop that has only to answer.
func loops(s *peregrine.Session, many int) {
	var asking sync.WaitGroup
	for i := range inFlight {
		asking.Go(func() {
			answer := make(chan struct{}, 1)
			question := func() { answer <- struct{}{} }
			for range many/inFlight + min(1, max(0, many%inFlight-i)) {
				s.Loop(question)
				<-answer
			}
		})
	}
	asking.Wait()
}

// channels is what call does with a loop that has only to answer: there by a channel that
// all share, and back by one of each goroutine.
func channels(many int) {
	type asked struct{ answer chan struct{} }
	questions := make(chan asked, inFlight)
	var asking, answering sync.WaitGroup
	answering.Go(func() {
		for q := range questions {
			q.answer <- struct{}{}
		}
	})
	for i := range inFlight {
		asking.Go(func() {
			mine := asked{make(chan struct{}, 1)}
			for range many/inFlight + min(1, max(0, many%inFlight-i)) {
				questions <- mine
				<-mine.answer
			}
		})
	}
	asking.Wait()
	close(questions)
	answering.Wait()
}
