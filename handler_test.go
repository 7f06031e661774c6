package peregrine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// The error that a handler returns is the error that its client has.
func TestUnaryHandlersReturnErrors(t *testing.T) {
	t.Parallel()
	outcomes := []struct {
		err     error
		code    peregrine.Code
		message string
	}{
		{nil, peregrine.OK, ""},
		{&peregrine.Error{Code: peregrine.NotFound, Message: "no such key"}, peregrine.NotFound, "no such key"},
		{fmt.Errorf("shard 3: %w", &peregrine.Error{Code: peregrine.Aborted, Message: "conflict"}), peregrine.Aborted, "shard 3: Aborted: conflict"},
		{context.Canceled, peregrine.Canceled, "context canceled"},
		{fmt.Errorf("upstream: %w", context.DeadlineExceeded), peregrine.DeadlineExceeded, "upstream: context deadline exceeded"},
		{errors.New("disk on fire"), peregrine.Unknown, "disk on fire"},
	}
	handler := peregrine.Unary(func(ctx context.Context, request []byte) ([]byte, error) {
		if ctx.Err() != nil {
			return nil, errors.New("the context is over too soon")
		}
		return append([]byte("reply "), request...), outcomes[request[0]].err
	})
	server := serve(t)
	require.NoError(t, server.Handle(7, handler))
	require.NoError(t, server.Handle(8, handler, peregrine.Go(8)))
	s := connect(t, server)
	for method := uint16(7); method <= 8; method++ {
		for i, want := range outcomes {
			reply, err := s.Call(within(t, time.Minute), method, []byte{byte(i)}, nil)
			require.Equal(t, want.code, peregrine.CodeOf(err), "%v", want.err)
			if want.err == nil {
				require.Equal(t, "reply \x00", string(reply))
				continue
			}
			var e *peregrine.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, want.message, e.Message)
		}
	}
}

// A request's context ends with the request: when it is answered, when its client
// gives up or closes its session, and when the endpoint closes.
func TestARequestsContextEndsWithIt(t *testing.T) {
	t.Parallel()
	server := serve(t)
	contexts := make(chan context.Context, 1)
	block := func(r peregrine.Request) {
		contexts <- r.Context()
		if string(r.Data()) == "answer" {
			r.Reply(nil)
		} else {
			<-r.Context().Done()
			r.Fail(peregrine.Canceled, "gave up")
		}
	}
	require.NoError(t, server.Handle(7, block, peregrine.Go(8)))
	require.NoError(t, server.Handle(8, func(r peregrine.Request) {
		ctx := r.Context() // of before Defer, which it outlives
		later := r.Defer()
		if later.Context() != ctx {
			t.Error("a request has two contexts")
		}
		go block(later)
	}))
	for method := uint16(7); method <= 8; method++ {
		s := connect(t, server)
		_, err := s.Call(within(t, time.Minute), method, []byte("answer"), nil)
		require.NoError(t, err)
		ctx := <-contexts
		<-ctx.Done()
		require.ErrorIs(t, ctx.Err(), context.Canceled, "answered")
		at, has := ctx.Deadline()
		require.True(t, has)
		require.WithinDuration(t, time.Now().Add(time.Minute), at, 30*time.Second)

		giveUp, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			_, err := s.Call(giveUp, method, nil, nil)
			ended <- err
		}()
		ctx = <-contexts
		_, has = ctx.Deadline()
		require.False(t, has)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		<-ctx.Done() // or the test does not end
		require.ErrorIs(t, ctx.Err(), context.Canceled, "given up")

		s.Go(&peregrine.Call{Method: method, Done: func(*peregrine.Call) {}})
		ctx = <-contexts
		require.NoError(t, s.Close())
		<-ctx.Done()
		require.ErrorIs(t, ctx.Err(), context.Canceled, "its session closed")
	}
	s := connect(t, server)
	s.Go(&peregrine.Call{Method: 7, Done: func(*peregrine.Call) {}})
	ctx := <-contexts
	require.NoError(t, server.Close())
	<-ctx.Done() // the endpoint closed
}

// Inline, where the loop hears nothing meanwhile, a context has the deadline, and
// ends with the handler.
func TestAnInlineRequestsContextEndsWithItsHandler(t *testing.T) {
	t.Parallel()
	server := serve(t)
	contexts := make(chan context.Context, 1)
	require.NoError(t, server.Handle(7, func(r peregrine.Request) {
		ctx := r.Context()
		if string(r.Data()) == "hold" {
			<-ctx.Done() // with its deadline
			r.Fail(peregrine.DeadlineExceeded, "")
			contexts <- ctx
			return
		}
		r.Reply(nil)
		if ctx.Err() != nil {
			t.Error("it ended before its handler")
		}
		contexts <- ctx
	}))
	s := connect(t, server)
	_, err := s.Call(within(t, time.Minute), 7, nil, nil)
	require.NoError(t, err)
	ctx := <-contexts
	<-ctx.Done()
	require.ErrorIs(t, ctx.Err(), context.Canceled)

	for ran := false; !ran; { // on a busy host it may expire before it begins
		s.Go(&peregrine.Call{Method: 7, Request: []byte("hold"), Timeout: 200 * time.Millisecond, Done: func(*peregrine.Call) {}})
		select {
		case ctx = <-contexts:
			ran = true
		case <-time.After(time.Second):
		}
	}
	require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
}

// Interceptors run around every handler, the first outermost, where it runs.
func TestInterceptorsRunAroundEveryHandler(t *testing.T) {
	t.Parallel()
	var lock sync.Mutex
	var trace []string
	note := func(what string) {
		lock.Lock()
		trace = append(trace, what)
		lock.Unlock()
	}
	around := func(name string) peregrine.Option {
		return peregrine.WithHandlerInterceptor(func(next peregrine.Handler) peregrine.Handler {
			return func(r peregrine.Request) {
				if string(r.Data()) == "refuse at "+name {
					r.Fail(peregrine.PermissionDenied, name)
					return
				}
				note(name + " in")
				next(r)
				note(name + " out")
			}
		})
	}
	handler := func(r peregrine.Request) {
		note("handler")
		r.Reply(nil)
	}
	pool := peregrine.NewPool(1, 4)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	server, err := peregrine.Listen("udp://127.0.0.1:0", peregrine.WithHandler(7, handler), around("first"), around("second"))
	require.NoError(t, err)
	defer server.Close()
	require.NoError(t, server.Handle(8, handler, peregrine.Pooled(pool)))
	require.NoError(t, server.Handle(9, handler, peregrine.Go(4)))
	s := connect(t, server)
	for method := uint16(7); method <= 9; method++ {
		_, err := s.Call(within(t, time.Minute), method, nil, nil)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			lock.Lock()
			defer lock.Unlock()
			return len(trace) == 5
		}, time.Minute, time.Millisecond)
		lock.Lock()
		require.Equal(t, "first in, second in, handler, second out, first out", strings.Join(trace, ", "), "method %d", method)
		trace = nil
		lock.Unlock()
		for _, name := range []string{"first", "second"} {
			_, err := s.Call(within(t, time.Minute), method, []byte("refuse at "+name), nil)
			require.Equal(t, peregrine.PermissionDenied, code(t, err))
		}
		require.Eventually(t, func() bool {
			lock.Lock()
			defer lock.Unlock()
			return strings.Join(trace, ", ") == "first in, first out"
		}, time.Minute, time.Millisecond)
		lock.Lock()
		trace = nil
		lock.Unlock()
	}
}

// ReplyThen says exactly once when a reply's memory may be used again: not before
// the client has it, and also if the answer comes to nothing.
func TestReplyThenSaysWhenMemoryIsFree(t *testing.T) {
	t.Parallel()
	server := serve(t)
	var released atomic.Int32
	reply := func(r peregrine.Request) {
		memory := []byte(strings.Repeat("abcdefgh", 1<<17))
		r.ReplyThen(memory, func() {
			clear(memory) // or the client would see
			released.Add(1)
		})
		r.ReplyThen(nil, func() { released.Add(1) }) // a second answer does not count
	}
	later := make(chan peregrine.Request, 1)
	require.NoError(t, server.Handle(7, reply))
	require.NoError(t, server.Handle(8, reply, peregrine.Go(8)))
	require.NoError(t, server.Handle(9, func(r peregrine.Request) { later <- r.Defer() }))
	s := connect(t, server)
	is := func(n int32) {
		t.Helper()
		require.Eventually(t, func() bool { return released.Load() == n }, time.Minute, time.Millisecond)
	}
	for method := uint16(7); method <= 8; method++ {
		released.Store(0)
		for range 10 {
			got, err := s.Call(within(t, time.Minute), method, nil, nil)
			require.NoError(t, err)
			require.Equal(t, strings.Repeat("abcdefgh", 1<<17), string(got))
		}
		is(20)
	}

	released.Store(0)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		s.Call(ctx, 9, nil, nil)
		close(ended)
	}()
	r := <-later
	cancel()
	<-ended
	<-r.Context().Done()
	reply(r)
	is(2)

	released.Store(0)
	s.Go(&peregrine.Call{Method: 9, Done: func(*peregrine.Call) {}})
	r = <-later
	require.NoError(t, server.Close())
	reply(r)
	is(2)
}
