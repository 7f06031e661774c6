package peregrine_test

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/peregrine-rpc/peregrine"
)

// crashing are the ways in which a handler does not return.
var crashing = map[string]func(){
	"panics":             func() { panic("with what the client need not know") },
	"panics at runtime":  func() { _ = []byte(nil)[len(os.Args)] },
	"ends its goroutine": runtime.Goexit,
}

// Wherever a handler runs that does not return, its own request fails, with no
// more than that it did; those beside it, behind it, and the next do not notice.
func TestAHandlerThatDoesNotReturnFailsItsRequestAlone(t *testing.T) {
	t.Parallel()
	for how, crash := range crashing {
		for _, place := range []string{"inline", "go", "pooled", "partition", "deferred"} {
			t.Run(place+" "+how, func(t *testing.T) {
				t.Parallel()
				const requests = 100
				pool := peregrine.NewPool(1, requests)
				t.Cleanup(func() { require.NoError(t, pool.Close()) })
				where := map[string]peregrine.HandleOption{
					"inline": peregrine.Inline(), "deferred": peregrine.Inline(),
					"go": peregrine.Go(requests), "pooled": peregrine.Pooled(pool),
					"partition": peregrine.Partition(pool, func([]byte) uint64 { return 0 }),
				}[place]
				seen, logs := observer.New(zap.InfoLevel)
				server := serve(t, peregrine.WithLogger(zap.New(seen)))
				require.NoError(t, server.Handle(7, func(r peregrine.Request) {
					if place == "deferred" {
						r.Defer()
					}
					if string(r.Data()) == "crash" {
						crash()
					}
					r.Reply(r.Data())
				}, where))
				s := connect(t, server)

				ended := make(chan *peregrine.Call, requests)
				s.Loop(func() { // so that they travel together
					for i := range requests {
						request := []byte("go on")
						if i%3 == 0 {
							request = []byte("crash")
						}
						s.Submit(&peregrine.Call{Method: 7, Request: request, Buf: make([]byte, 8), Done: func(c *peregrine.Call) { ended <- c }})
					}
				})
				crashed := 0
				for range requests {
					c := <-ended
					if string(c.Request) == "go on" {
						require.NoError(t, c.Err)
						require.Equal(t, "go on", string(c.Response))
						continue
					}
					crashed++
					require.Equal(t, peregrine.Internal, code(t, c.Err))
					require.Contains(t, []string{"Internal: handler panicked", "Internal: handler ended its goroutine"}, c.Err.Error(), "no more than that")
				}
				require.EqualValues(t, crashed, server.Stats().HandlersPanicked)
				require.Zero(t, server.Stats().RequestsMisused)
				said := logs.FilterLevelExact(zap.ErrorLevel).All()
				require.Len(t, said, crashed)
				require.Contains(t, said[0].ContextMap()["stack"], "contain_test.go", "the stack shows where")

				require.NoError(t, server.Handle(7, nil), "the loop is alive")
				require.NoError(t, server.Close(), "and ends when asked")
			})
		}
	}
}

// The tokens of Go and the places in a queue are given back.
func TestAHandlerThatDoesNotReturnGivesItsPlaceBack(t *testing.T) {
	t.Parallel()
	for how, crash := range crashing {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			pool := peregrine.NewPool(2, 0)
			t.Cleanup(func() { require.NoError(t, pool.Close()) })
			server := serve(t)
			require.NoError(t, server.Handle(7, func(peregrine.Request) { crash() }, peregrine.Go(1)))
			require.NoError(t, server.Handle(8, func(peregrine.Request) { crash() }, peregrine.Pooled(pool)))
			s := connect(t, server)
			for method := uint16(7); method <= 8; method++ {
				for range 20 {
					require.Eventually(t, func() bool {
						_, err := s.Call(within(t, time.Minute), method, nil, nil)
						require.Error(t, err)
						return code(t, err) == peregrine.Internal // and not ResourceExhausted for ever
					}, time.Minute, time.Millisecond)
				}
			}
		})
	}
}

// What runs around a handler is covered as the handler is.
func TestKeysAndInterceptorsThatDoNotReturnFailTheRequestAlone(t *testing.T) {
	t.Parallel()
	pool := peregrine.NewPool(2, 16)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	for how, crash := range crashing {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			server := serve(t, peregrine.WithHandlerInterceptor(func(next peregrine.Handler) peregrine.Handler {
				return func(r peregrine.Request) {
					if string(r.Data()) == "crash the interceptor" {
						crash()
					}
					next(r)
				}
			}))
			reply := func(r peregrine.Request) { r.Reply(r.Data()) }
			require.NoError(t, server.Handle(7, reply, peregrine.Partition(pool, func(data []byte) uint64 {
				if len(data) == 0 {
					crash()
				}
				return uint64(data[0])
			})))
			require.NoError(t, server.Handle(8, reply))
			s := connect(t, server)
			for _, c := range []struct {
				method  uint16
				request string
				code    peregrine.Code
			}{
				{7, "", peregrine.Internal}, {7, "key", peregrine.OK}, {7, "crash the interceptor", peregrine.Internal},
				{8, "", peregrine.OK}, {8, "crash the interceptor", peregrine.Internal}, {8, "again", peregrine.OK},
			} {
				got, err := s.Call(within(t, time.Minute), c.method, []byte(c.request), nil)
				require.Equal(t, c.code, peregrine.CodeOf(err), "method %d of %q: %v", c.method, c.request, err)
				if err == nil {
					require.Equal(t, c.request, string(got))
				}
			}
		})
	}
}

// A handler that always ends the loop's goroutine ends no loop, however often.
func TestALoopOutlivesManyGoexits(t *testing.T) {
	t.Parallel()
	server := serve(t)
	require.NoError(t, server.Handle(7, func(peregrine.Request) { runtime.Goexit() }))
	s := connect(t, server)
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for range 80 {
				if _, err := s.Call(context.Background(), 7, nil, nil); peregrine.CodeOf(err) != peregrine.Internal {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	reply, err := s.Call(within(t, time.Minute), echo, []byte("still there"), nil)
	require.NoError(t, err)
	require.Equal(t, "still there", string(reply))
}

// Completions and functions given to Loop are the program's own; one that ends
// the goroutine keeps nobody else from theirs, not even while the endpoint
// closes.
func TestALoopGoesOnBehindACompletionThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	server := serve(t)
	require.NoError(t, server.Handle(7, func(r peregrine.Request) { r.Defer() })) // never answers
	client, err := peregrine.Listen("udp://127.0.0.1:0")
	require.NoError(t, err)
	s, err := client.Dial(within(t, time.Minute), server.Addr().String())
	require.NoError(t, err)
	const calls = 30
	ended := make(chan error, calls)
	exit := func(c *peregrine.Call) {
		ended <- c.Err
		runtime.Goexit()
	}
	s.Loop(func() {
		for range calls {
			s.Submit(&peregrine.Call{Method: echo, Done: exit})
		}
		runtime.Goexit()
	})
	for range calls {
		require.NoError(t, <-ended)
	}
	for range calls {
		s.Go(&peregrine.Call{Method: echo, Timeout: -1, Done: exit})
	}
	for range calls {
		require.Equal(t, peregrine.DeadlineExceeded, code(t, <-ended))
	}
	for range calls {
		s.Go(&peregrine.Call{Method: 7, Done: exit})
	}
	require.NoError(t, client.Close())
	for range calls {
		require.Error(t, <-ended)
	}
}

// With WithCrashOnPanic, and in a completion always, a panic is the process's
// end, and the trace shows where it came from.
func TestAPanicEndsTheProcessWhereItShould(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"inline", "go", "completion"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			if os.Getenv("PEREGRINE_CRASH") == where {
				crashIn(where)
				return
			}
			again := exec.Command(os.Args[0], "-test.run", "^TestAPanicEndsTheProcessWhereItShould$/^"+where+"$")
			again.Env = append(os.Environ(), "PEREGRINE_CRASH="+where)
			out, err := again.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s", out)
			require.Equal(t, 2, exit.ExitCode(), "%s", out)
			require.Contains(t, string(out), "panic: end of the world")
			require.Contains(t, string(out), "theEnd", "the trace shows where")
			require.False(t, strings.Contains(string(out), "went on"))
		})
	}
}

//go:noinline
func theEnd() { panic("end of the world") }

func crashIn(where string) {
	server, err := peregrine.Listen("udp://127.0.0.1:0", peregrine.WithCrashOnPanic())
	if err != nil {
		panic(err)
	}
	place := peregrine.Inline()
	if where == "go" {
		place = peregrine.Go(1)
	}
	server.Handle(7, func(peregrine.Request) { theEnd() }, place)
	server.Handle(echo, func(r peregrine.Request) { r.Reply(nil) })
	s, err := peregrine.Dial(context.Background(), server.Addr().String())
	if err != nil {
		panic(err)
	}
	if where == "completion" {
		s.Go(&peregrine.Call{Method: echo, Done: func(*peregrine.Call) { theEnd() }})
		select {}
	}
	s.Call(context.Background(), 7, nil, nil)
	println("went on")
}
