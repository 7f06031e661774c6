package peregrine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

const talk = 7

// talks opens a stream to a server, which ends with the test.
func talks(t *testing.T, server *peregrine.Endpoint, h peregrine.StreamHandler, opts ...peregrine.Option) (*peregrine.Session, *peregrine.Stream) {
	t.Helper()
	require.NoError(t, server.HandleStream(talk, h))
	s := connect(t, server, opts...)
	st, err := s.Stream(within(t, 10*time.Minute), talk, []byte("header")) // the whole story is told in it
	require.NoError(t, err)
	return s, st
}

// hears receives until the end.
func hears(st *peregrine.Stream) (all []string, err error) {
	for {
		message, err := st.Recv(nil)
		if err != nil {
			return all, err
		}
		all = append(all, string(message))
	}
}

// Messages go both ways, at any time and of any size, between a header and a trailer.
func TestAStreamCarriesMessagesBothWays(t *testing.T) {
	t.Parallel()
	sizes := []int{0, 1, 5, 1000, 5000, 30_000, 40_000, 1 << 20, 3}
	_, st := talks(t, serve(t), func(st *peregrine.Stream) error {
		header, err := st.Header()
		if err != nil || string(header) != "header" || st.Method() != talk {
			return fmt.Errorf("header %q, error %v, method %d", header, err, st.Method())
		}
		if err := st.SendHeader([]byte("answer")); err != nil {
			return err
		}
		st.SetTrailer([]byte("trailer"))
		var buf []byte
		for {
			buf, err = st.Recv(buf)
			if err == io.EOF {
				return st.Send([]byte("last"))
			}
			if err == nil {
				err = st.Send(buf)
			}
			if err != nil {
				return err
			}
		}
	})
	header, err := st.Header()
	require.NoError(t, err)
	require.Equal(t, "answer", string(header))
	go func() {
		for i, size := range sizes {
			if err := st.Send([]byte(strings.Repeat(string(rune('a'+i)), size))); err != nil {
				t.Error(err)
			}
		}
		st.CloseSend()
	}()
	all, err := hears(st)
	require.Equal(t, io.EOF, err)
	require.Len(t, all, len(sizes)+1)
	for i, size := range sizes {
		require.Len(t, all[i], size)
		require.Equal(t, strings.Repeat(string(rune('a'+i)), size), all[i])
	}
	require.Equal(t, "last", all[len(sizes)])
	require.Equal(t, "trailer", string(st.Trailer()))
}

// What a handler returns is how the stream ends at the client, behind what was sent.
func TestAStreamEndsAsItsHandlerSays(t *testing.T) {
	t.Parallel()
	ends := map[string]struct {
		handler func() error
		code    peregrine.Code
		message string
	}{
		"nil":                   {func() error { return nil }, peregrine.OK, ""},
		"a code":                {func() error { return &peregrine.Error{Code: peregrine.NotFound, Message: "gone"} }, peregrine.NotFound, "gone"},
		"another":               {func() error { return errors.New("disk on fire") }, peregrine.Unknown, "disk on fire"},
		"an error that says OK": {func() error { return &peregrine.Error{Message: "disk on fire"} }, peregrine.Unknown, "disk on fire"},
		"panic":                 {func() error { panic("oh") }, peregrine.Internal, "handler panicked"},
		"Goexit":                {func() error { runtime.Goexit(); return nil }, peregrine.Internal, "handler ended its goroutine"},
	}
	server := serve(t, peregrine.WithLogger(nil))
	require.NoError(t, server.HandleStream(talk, func(st *peregrine.Stream) error {
		header, _ := st.Header()
		for range 3 {
			if err := st.Send(header); err != nil {
				return err
			}
		}
		return ends[string(header)].handler()
	}))
	s := connect(t, server)
	for name, end := range ends {
		st, err := s.Stream(within(t, time.Minute), talk, []byte(name))
		require.NoError(t, err)
		all, err := hears(st)
		require.Len(t, all, 3)
		if end.code == peregrine.OK {
			require.Equal(t, io.EOF, err)
			continue
		}
		require.Equal(t, end.code, code(t, err), name)
		require.ErrorContains(t, err, end.message)
	}
}

// A client's context, its Cancel, and its session's and endpoint's Close each end a
// stream: at once for the client, and by its context for the handler.
func TestAClientsEndOfAStreamReachesItsHandler(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end  func(s *peregrine.Session, st *peregrine.Stream, cancel func())
		code peregrine.Code
	}{
		"cancel":   {func(_ *peregrine.Session, st *peregrine.Stream, _ func()) { st.Cancel() }, peregrine.Canceled},
		"context":  {func(_ *peregrine.Session, _ *peregrine.Stream, cancel func()) { cancel() }, peregrine.Canceled},
		"deadline": {func(*peregrine.Session, *peregrine.Stream, func()) {}, peregrine.DeadlineExceeded},
		"session":  {func(s *peregrine.Session, _ *peregrine.Stream, _ func()) { s.Close() }, peregrine.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t)
			ended := make(chan error, 16)
			require.NoError(t, server.HandleStream(talk, func(st *peregrine.Stream) error {
				st.Send([]byte("begun"))
				<-st.Context().Done()
				_, err := st.Recv(nil)
				ended <- err
				return err
			}))
			s := connect(t, server)
			begin := func(ctx context.Context) (*peregrine.Stream, error) {
				st, err := s.Stream(ctx, talk, nil)
				require.NoError(t, err)
				_, err = st.Recv(nil)
				return st, err
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer func() { cancel() }()
			st, err := begin(ctx)
			for limit := time.Second; name == "deadline"; limit *= 2 { // until a busy machine begins the stream in time
				cancel()
				ctx, cancel = context.WithTimeout(context.Background(), limit)
				if st, err = begin(ctx); err == nil {
					break
				}
			}
			require.NoError(t, err)
			tc.end(s, st, cancel)
			_, err = st.Recv(nil)
			require.Equal(t, tc.code, code(t, err))
			if ctx.Err() != nil {
				require.ErrorIs(t, err, ctx.Err())
			}
			require.Error(t, <-ended)
			require.Equal(t, io.EOF, st.Send(nil))
		})
	}
}

// A stream's sender waits for its reader, and for nobody else.
func TestSendWaitsForTheReader(t *testing.T) {
	t.Parallel()
	read := make(chan struct{})
	server := serve(t)
	s, st := talks(t, server, func(st *peregrine.Stream) error {
		<-read
		all, err := hears(st)
		if err != io.EOF {
			return err
		}
		return st.Send([]byte(fmt.Sprint(len(all))))
	})
	const count = 2000
	sent := make(chan error, 1)
	var mu sync.Mutex
	progress := 0
	go func() {
		for range count {
			if err := st.Send(make([]byte, 1000)); err != nil {
				sent <- err
				return
			}
			mu.Lock()
			progress++
			mu.Unlock()
		}
		sent <- st.CloseSend()
	}()
	at := func() int {
		mu.Lock()
		defer mu.Unlock()
		return progress
	}
	// Until it has come as far as it can, others are served.
	for before := -1; before != at(); {
		before = at()
		for range 30 {
			_, err := s.Call(within(t, time.Minute), echo, []byte("x"), nil)
			require.NoError(t, err)
		}
	}
	require.Less(t, at(), count)
	close(read)
	require.NoError(t, <-sent)
	reply, err := st.Recv(nil)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(count), string(reply))
}

// What cannot be is an error, and nothing worse.
func TestMistakesWithStreamsAreErrors(t *testing.T) {
	t.Parallel()
	server := serve(t, peregrine.WithConfig(peregrine.Config{Streams: 1}))
	s, st := talks(t, server, func(st *peregrine.Stream) error {
		if st.CloseSend(); st.SendHeader(nil) != nil {
			return errors.New("the first header is refused")
		}
		if err := st.SendHeader(nil); peregrine.CodeOf(err) != peregrine.Internal {
			return fmt.Errorf("a second header: %w", err)
		}
		_, err := hears(st)
		if err != io.EOF {
			return err
		}
		return nil
	})
	_, err := st.Header()
	require.NoError(t, err)
	second, err := s.Stream(within(t, time.Minute), talk, nil)
	require.NoError(t, err)
	_, err = second.Recv(nil)
	require.Equal(t, peregrine.ResourceExhausted, code(t, err))
	require.ErrorContains(t, err, "streams")

	require.Equal(t, peregrine.Internal, code(t, st.SendHeader(nil)), "a client has none")
	onLoop := make(chan error, 3)
	s.Loop(func() {
		_, err := st.Recv(nil)
		onLoop <- err
		onLoop <- st.Send(nil)
	})
	require.Equal(t, peregrine.ErrOnLoop, <-onLoop)
	require.Equal(t, peregrine.ErrOnLoop, <-onLoop)
	require.NoError(t, st.CloseSend())
	require.NoError(t, st.CloseSend())
	require.Equal(t, peregrine.Internal, code(t, st.Send(nil)))
	_, err = st.Recv(nil)
	require.Equal(t, io.EOF, err)
	st.Cancel()
	_, err = st.Recv(nil)
	require.Equal(t, io.EOF, err, "it had ended")

	unknown, err := s.Stream(within(t, time.Minute), 99, nil)
	require.NoError(t, err)
	_, err = unknown.Header()
	require.Equal(t, peregrine.Unimplemented, code(t, err))
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.Stream(over, talk, nil)
	require.ErrorIs(t, err, context.Canceled)
	long, err := s.Stream(within(t, time.Minute), talk, nil)
	require.NoError(t, err)
	require.Equal(t, io.EOF, long.Send(make([]byte, 17<<20)))
	_, err = long.Recv(nil)
	require.Equal(t, peregrine.ResourceExhausted, code(t, err))
	require.NoError(t, s.Close())
	_, err = s.Stream(within(t, time.Minute), talk, nil)
	require.Error(t, err)
	_, err = new(peregrine.Session).Stream(within(t, time.Minute), talk, nil)
	require.Equal(t, peregrine.FailedPrecondition, code(t, err))
}

// An endpoint that shuts down lets streams end.
func TestShutdownLetsStreamsEnd(t *testing.T) {
	t.Parallel()
	server, err := peregrine.Listen("udp://127.0.0.1:0")
	require.NoError(t, err)
	_, st := talks(t, server, func(st *peregrine.Stream) error {
		_, err := hears(st)
		if err != io.EOF {
			return err
		}
		return st.Send([]byte("done"))
	})
	require.NoError(t, st.Send([]byte("x")))
	require.Eventually(t, func() bool { return server.Stats().StreamsServed == 1 }, time.Minute, time.Millisecond)
	down := make(chan error, 1)
	go func() { down <- server.Shutdown(within(t, time.Minute)) }()
	require.NoError(t, st.CloseSend())
	message, err := st.Recv(nil)
	require.NoError(t, err)
	require.Equal(t, "done", string(message))
	_, err = st.Recv(nil)
	require.Equal(t, io.EOF, err)
	require.NoError(t, <-down)
}

// A server pushes on many streams of many sessions from other goroutines.
func TestManyStreamsAtOnceEachHearTheirOwn(t *testing.T) {
	t.Parallel()
	server := serve(t, peregrine.WithLoops(2))
	require.NoError(t, server.HandleStream(talk, func(st *peregrine.Stream) error {
		header, _ := st.Header()
		for i := range 20 {
			if err := st.Send(fmt.Appendf(nil, "%s %d", header, i)); err != nil {
				return err
			}
		}
		_, err := hears(st)
		if err == io.EOF {
			return nil
		}
		return err
	}))
	s := connect(t, server)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			st, err := s.Stream(within(t, time.Minute), talk, fmt.Append(nil, i))
			if err != nil {
				t.Error(err)
				return
			}
			var buf []byte
			for k := range 20 {
				buf, err = st.Recv(buf)
				if err != nil || string(buf) != fmt.Sprintf("%d %d", i, k) {
					t.Errorf("stream %d, message %d: %q, %v", i, k, buf, err)
				}
			}
			st.CloseSend()
			if _, err := st.Recv(nil); err != io.EOF {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// What waits for a stream returns when its context ends, also while the loop is held.
func TestContextsEndStreamsWhoseLoopIsHeld(t *testing.T) {
	t.Parallel()
	server := serve(t)
	s, _ := talks(t, server, func(st *peregrine.Stream) error {
		_, err := st.Recv(nil)
		return err
	})
	ctx, cancel := context.WithCancel(context.Background())
	st, err := s.Stream(ctx, talk, nil)
	require.NoError(t, err)
	held, free := make(chan struct{}), make(chan struct{})
	s.Loop(func() {
		close(held)
		<-free
	})
	<-held
	ends := make(chan error, 3)
	for _, wait := range []func() error{
		func() error { _, err := st.Recv(nil); return err },
		func() error { _, err := st.Header(); return err },
		func() error { return st.Send(make([]byte, 1<<20)) },
	} {
		go func() { ends <- wait() }()
	}
	cancel()
	canceled := 0
	for range 3 {
		if err := <-ends; err != io.EOF {
			require.ErrorIs(t, err, context.Canceled)
			canceled++
		}
	}
	require.Equal(t, 2, canceled, "only Send has another word for it")
	close(free)
}

// An idle stream keeps no buffer. The test measures the whole process, so it runs alone.
func TestAnIdleStreamKeepsNoBuffer(t *testing.T) {
	const count = 2000
	server := serve(t)
	require.NoError(t, server.HandleStream(talk, func(st *peregrine.Stream) error {
		st.Send([]byte("hello"))
		_, err := st.Recv(nil)
		if err == io.EOF {
			return nil
		}
		return err
	}))
	s := connect(t, server)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var all []*peregrine.Stream
	for range count {
		st, err := s.Stream(within(t, time.Minute), talk, nil)
		require.NoError(t, err)
		_, err = st.Recv(nil)
		require.NoError(t, err)
		all = append(all, st)
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	heap, stacks := int(after.HeapAlloc-before.HeapAlloc)/count, int(after.StackInuse-before.StackInuse)/count
	t.Logf("both sides: %d bytes of heap, and %d of the handlers' stacks", heap, stacks)
	require.Less(t, heap, 6<<10)
	for _, st := range all {
		require.NoError(t, st.CloseSend())
		_, err := st.Recv(nil)
		require.Equal(t, io.EOF, err)
	}
}

// A client that opens streams and cancels them has no more handlers run than it may have
// streams, twice: those that do not look at their context keep their place.
func TestStreamsThatAreOpenedAndCanceledDoNotPileUpHandlers(t *testing.T) {
	t.Parallel()
	const limit = 4
	server := serve(t, peregrine.WithConfig(peregrine.Config{Streams: limit}))
	free := make(chan struct{})
	var running, most atomic.Int32
	require.NoError(t, server.HandleStream(talk, func(st *peregrine.Stream) error {
		most.Store(max(most.Load(), running.Add(1)))
		st.Send(nil)
		<-free
		running.Add(-1)
		return nil
	}))
	s := connect(t, server)
	refused := 0
	for range 50 {
		st, err := s.Stream(within(t, time.Minute), talk, nil)
		require.NoError(t, err)
		if _, err = st.Recv(nil); err != nil {
			require.Equal(t, peregrine.ResourceExhausted, code(t, err))
			refused++
		}
		st.Cancel()
	}
	require.LessOrEqual(t, int(most.Load()), 2*limit)
	require.Positive(t, refused)
	close(free)
	require.Eventually(t, func() bool {
		st, err := s.Stream(within(t, time.Minute), talk, nil)
		require.NoError(t, err)
		defer st.Cancel()
		_, err = st.Recv(nil)
		return err == nil
	}, time.Minute, time.Millisecond)
}

// While an endpoint closes, its streams end as the engine says, not as who asks for
// something meanwhile may guess.
func TestAStreamOfAnEndpointThatClosesMayHaveExecuted(t *testing.T) {
	t.Parallel()
	server := serve(t)
	require.NoError(t, server.Handle(8, func(r peregrine.Request) { r.Defer() })) // never answers
	require.NoError(t, server.HandleStream(talk, func(st *peregrine.Stream) error {
		<-st.Context().Done()
		return nil
	}))
	client, err := peregrine.Listen("udp://127.0.0.1:0")
	require.NoError(t, err)
	s, err := client.Dial(within(t, time.Minute), server.Addr().String())
	require.NoError(t, err)
	st, err := s.Stream(within(t, time.Minute), talk, nil)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return server.Stats().StreamsServed == 1 }, time.Minute, time.Millisecond)
	closing, asked := make(chan struct{}), make(chan struct{})
	s.Go(&peregrine.Call{Method: 8, Done: func(*peregrine.Call) {
		close(closing)
		<-asked
	}})
	closed := make(chan error, 1)
	go func() { closed <- client.Close() }()
	<-closing
	st.Send([]byte("late"))
	close(asked)
	require.NoError(t, <-closed)
	_, err = st.Recv(nil)
	var failure *peregrine.Error
	require.ErrorAs(t, err, &failure)
	require.True(t, failure.MayHaveExecuted, "%v", err)
	require.Equal(t, io.EOF, st.Send(nil))
}

// A handler may end its stream before it returns: the client need not wait for that,
// and does not hear of it.
func TestAHandlerEndsItsStreamBeforeItReturns(t *testing.T) {
	t.Parallel()
	heard := make(chan struct{})
	_, st := talks(t, serve(t), func(st *peregrine.Stream) error {
		st.SetTrailer([]byte("trailer"))
		st.Send([]byte("last"))
		st.End(&peregrine.Error{Code: peregrine.NotFound, Message: "gone"})
		st.SetTrailer([]byte("late"))
		if err := st.Send([]byte("late")); err == nil || st.Context().Err() == nil {
			t.Error("the stream goes on behind its end")
		}
		<-heard
		return errors.New("late")
	})
	st.End(errors.New("a client's End does nothing"))
	all, err := hears(st)
	require.Equal(t, []string{"last"}, all)
	require.Equal(t, peregrine.NotFound, peregrine.CodeOf(err))
	require.Contains(t, err.Error(), "gone")
	require.Equal(t, "trailer", string(st.Trailer()))
	close(heard)
}

// A handler given as an option serves the first stream that can come.
func TestAnOptionSetsTheHandlerOfStreams(t *testing.T) {
	t.Parallel()
	server := serve(t, peregrine.WithStreamHandler(talk, func(st *peregrine.Stream) error { return st.Send([]byte("served")) }))
	st, err := connect(t, server).Stream(within(t, time.Minute), talk, nil)
	require.NoError(t, err)
	all, err := hears(st)
	require.Equal(t, io.EOF, err)
	require.Equal(t, []string{"served"}, all)

	_, err = peregrine.Listen("mem://", peregrine.WithStreamHandler(talk, nil),
		peregrine.WithStreamHandler(2, func(*peregrine.Stream) error { return nil }),
		peregrine.WithStreamHandler(2, func(*peregrine.Stream) error { return nil }))
	require.ErrorContains(t, err, "streams of method 7 is nil")
	require.ErrorContains(t, err, "streams of method 2 have two")
}

// Where no server is, a stream and a call wait for one under a context that says so, and
// fail under another.
func TestAContextHasStreamsAndCallsWaitForTheServer(t *testing.T) {
	t.Parallel()
	s, err := peregrine.Dial(within(t, time.Minute), "127.0.0.1:9", peregrine.WithLazyDial())
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	require.Eventually(t, func() bool {
		_, err = s.Call(within(t, time.Minute), 1, nil, nil)
		return peregrine.CodeOf(err) == peregrine.Unavailable
	}, time.Minute, time.Millisecond)
	ctx, cancel := context.WithTimeout(peregrine.WaitForReady(context.Background()), 200*time.Millisecond)
	defer cancel()
	_, err = s.Call(ctx, 1, nil, nil)
	require.Equal(t, peregrine.DeadlineExceeded, peregrine.CodeOf(err))

	st, err := s.Stream(within(t, time.Minute), talk, nil)
	require.NoError(t, err)
	_, err = st.Recv(nil)
	require.Equal(t, peregrine.Unavailable, peregrine.CodeOf(err))
	ctx, cancel = context.WithTimeout(peregrine.WaitForReady(context.Background()), 200*time.Millisecond)
	defer cancel()
	st, err = s.Stream(ctx, talk, nil)
	require.NoError(t, err)
	_, err = st.Recv(nil)
	require.Equal(t, peregrine.DeadlineExceeded, peregrine.CodeOf(err))
}

// Interceptors of both sides are around streams, as they are around calls.
func TestStreamsGoThroughInterceptors(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	note := func(format string, args ...any) {
		mu.Lock()
		seen = append(seen, fmt.Sprintf(format, args...))
		mu.Unlock()
	}
	around := func(name string) peregrine.Option {
		return peregrine.WithStreamHandlerInterceptor(func(next peregrine.StreamHandler) peregrine.StreamHandler {
			return func(st *peregrine.Stream) error {
				note("%s begins %s", name, st.Name())
				err := next(st)
				note("%s ends %v", name, err)
				return err
			}
		})
	}
	server := serve(t, around("outer"), around("inner"))
	refusal := &peregrine.Error{Code: peregrine.NotFound, Message: "no such thing"}
	require.NoError(t, server.HandleStreamName("talk", func(st *peregrine.Stream) error {
		header, err := st.Header()
		note("header %s %v", header, err)
		return refusal
	}))
	ended := make(chan error, 1)
	forbidden := errors.New("forbidden")
	session := connect(t, server, peregrine.WithStreamInterceptor(func(next peregrine.StreamFunc) peregrine.StreamFunc {
		return func(ctx context.Context, m peregrine.Method, header []byte) (*peregrine.Stream, error) {
			if m.Number() == talk {
				return nil, forbidden
			}
			st, err := next(ctx, m, append(header, '!'))
			if err == nil {
				st.OnEnd(func(err error) { ended <- err })
			}
			return st, err
		}
	}))
	_, err := session.Stream(t.Context(), talk, nil)
	require.ErrorIs(t, err, forbidden)
	st, err := session.Method("talk").Stream(t.Context(), []byte("hello"))
	require.NoError(t, err)
	_, err = hears(st)
	require.ErrorIs(t, err, refusal)
	require.ErrorIs(t, <-ended, refusal)
	st.OnEnd(func(err error) { ended <- err })
	require.ErrorIs(t, <-ended, refusal, "also if it has ended")
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{
		"outer begins talk", "inner begins talk", "header hello! <nil>", "inner ends " + refusal.Error(), "outer ends " + refusal.Error(),
	}, seen)
}

func TestAnInterceptorOfStreamsThatMakesNothingIsRefused(t *testing.T) {
	t.Parallel()
	for _, option := range []peregrine.Option{
		peregrine.WithStreamInterceptor(nil),
		peregrine.WithStreamInterceptor(func(peregrine.StreamFunc) peregrine.StreamFunc { return nil }),
		peregrine.WithStreamHandlerInterceptor(nil),
	} {
		_, err := peregrine.Listen("udp://127.0.0.1:0", option)
		var wrong *peregrine.ConfigError
		require.ErrorAs(t, err, &wrong)
	}
	server := serve(t, peregrine.WithStreamHandlerInterceptor(func(peregrine.StreamHandler) peregrine.StreamHandler { return nil }))
	var wrong *peregrine.ConfigError
	require.ErrorAs(t, server.HandleStream(talk, func(*peregrine.Stream) error { return nil }), &wrong)
}
