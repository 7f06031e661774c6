package peregrine_test

import (
	"context"
	"encoding/binary"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/peregrine-rpc/peregrine"
)

// A handler that answers from a goroutine without Defer does harm to its own
// request alone: no caller of another method ever has a reply that is not its.
func TestAReplyWithoutDeferReachesNobodyElse(t *testing.T) {
	t.Parallel()
	const careless, careful, calls = 7, 8, 2000
	seen, logs := observer.New(zap.InfoLevel)
	server := serve(t, peregrine.WithLogger(zap.New(seen)))
	late := make(chan struct{}, calls)
	server.Handle(careless, func(r peregrine.Request) {
		go func() {
			for range 10 {
				runtime.Gosched()
			}
			r.Reply([]byte("another caller's data"))
			r.Fail(peregrine.Aborted, "another caller's failure")
			late <- struct{}{}
		}()
	})
	server.Handle(careful, func(r peregrine.Request) {
		for range 20 {
			runtime.Gosched()
		}
		r.Reply(r.Data())
	}, peregrine.Go(64))
	s := connect(t, server)
	ended := make(chan error, calls)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range calls / 8 {
				s.Go(&peregrine.Call{Method: careless, Done: func(c *peregrine.Call) { ended <- c.Err }})
				request := binary.LittleEndian.AppendUint64(nil, uint64(g)<<32|uint64(i))
				reply, err := s.Call(context.Background(), careful, request, nil)
				if err != nil || string(reply) != string(request) {
					t.Errorf("the reply to %x is %q, error %v", request, reply, err)
				}
			}
		})
	}
	all.Wait()
	for range calls {
		require.Equal(t, peregrine.Internal, code(t, <-ended), "a handler that returns without a reply")
		<-late
	}
	require.EqualValues(t, 2*calls, server.Stats().RequestsMisused)
	said := logs.FilterLevelExact(zap.ErrorLevel).All()
	require.Len(t, said, 1, "it is said once")
	require.Contains(t, said[0].Message, "call Defer before the handler returns")
}

// Every method of a handle whose request is over is harmless, wherever it is
// used: on another goroutine, or on the loop itself, later.
func TestAHandleWhoseRequestIsOverIsInert(t *testing.T) {
	t.Parallel()
	const keep = 7
	use := func(t *testing.T, r peregrine.Request) {
		require.Zero(t, r.Method())
		require.Nil(t, r.Data())
		require.Equal(t, netip.AddrPort{}, r.Peer())
		_, has := r.Deadline()
		require.False(t, has)
		require.True(t, r.Canceled())
		require.ErrorIs(t, r.Context().Err(), context.Canceled)
		r.Reply([]byte("wrong"))
		r.Fail(peregrine.Aborted, "wrong")
		later := r.Defer()
		later.Reply([]byte("wrong"))
		require.Nil(t, later.Data())
		released := false
		r.ReplyThen([]byte("wrong"), func() { released = true })
		require.True(t, released, "the memory is free at once")
	}
	server := serve(t)
	over := make(chan peregrine.Request, 1)
	server.Handle(keep, func(r peregrine.Request) {
		over <- r
		r.Reply(r.Data())
	})
	server.Handle(8, func(r peregrine.Request) {
		kept := <-over
		use(t, kept) // on the loop, while another request is served
		over <- kept
		r.Reply(r.Data())
	})
	s := connect(t, server)
	for _, method := range []uint16{keep, 8} {
		reply, err := s.Call(within(t, time.Minute), method, []byte("right"), nil)
		require.NoError(t, err)
		require.Equal(t, "right", string(reply))
	}
	use(t, <-over) // and elsewhere
	require.NotZero(t, server.Stats().RequestsMisused)
}

// Deferred is the right way, with which the answers from goroutines are right;
// after it the handle is over, and says so by having no data.
func TestADeferredHandleEndsWithItsAnswer(t *testing.T) {
	t.Parallel()
	server := serve(t)
	after := make(chan []byte, 1)
	server.Handle(7, func(r peregrine.Request) {
		later := r.Defer()
		again := r.Defer()
		go func() {
			later.Reply(later.Data())
			again.Reply([]byte("a second answer does not count"))
			later.Fail(peregrine.Aborted, "nor does a third")
			after <- append(later.Data(), again.Data()...)
		}()
	})
	s := connect(t, server)
	for i := range byte(200) {
		reply, err := s.Call(within(t, time.Minute), 7, []byte{i}, nil)
		require.NoError(t, err)
		require.Equal(t, []byte{i}, reply)
		require.Nil(t, <-after, "there is no data after the answer")
	}
	require.Zero(t, server.Stats().RequestsMisused)
}

// Who answers after a pooled handler has returned has to say so in time, too.
func TestAPooledHandlerDefersToo(t *testing.T) {
	t.Parallel()
	pool := peregrine.NewPool(2, 64)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	server := serve(t)
	answer, answered := make(chan struct{}), make(chan struct{})
	server.Handle(7, func(r peregrine.Request) {
		if len(r.Data()) > 0 {
			r = r.Defer()
		}
		go func() {
			<-answer
			r.Reply(r.Data())
			answered <- struct{}{}
		}()
	}, peregrine.Pooled(pool))
	s := connect(t, server)
	_, err := s.Call(within(t, time.Minute), 7, nil, nil)
	require.Equal(t, peregrine.Internal, code(t, err), "it was answered when the handler returned")
	answer <- struct{}{}
	<-answered
	require.EqualValues(t, 1, server.Stats().RequestsMisused)

	go func() {
		answer <- struct{}{}
		<-answered
	}()
	reply, err := s.Call(within(t, time.Minute), 7, []byte("later"), nil)
	require.NoError(t, err)
	require.Equal(t, "later", string(reply))
	require.EqualValues(t, 1, server.Stats().RequestsMisused)
}

// A handle that a pooled handler left behind does nothing once its handler has answered
// and returned, though its record is another request's by then.
func TestAHandleOfAPooledHandlerDoesNothingToTheNext(t *testing.T) {
	t.Parallel()
	pool := peregrine.NewPool(1, 64)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	server := serve(t)
	var left []peregrine.Request
	server.Handle(7, func(r peregrine.Request) {
		for _, l := range left {
			l.Reply([]byte("wrong"))
			l.Fail(peregrine.Aborted, "wrong")
			if l.Data() != nil || l.Context().Err() == nil {
				t.Error("a handle whose request is over is alive")
			}
		}
		if left = append(left, r); len(left) > 8 {
			left = left[1:]
		}
		if r.Context().Err() != nil {
			t.Error("a request begins with its context canceled")
		}
		r.Reply(r.Data())
	}, peregrine.Pooled(pool))
	s := connect(t, server)
	for i := range byte(200) {
		reply, err := s.Call(within(t, time.Minute), 7, []byte{i}, nil)
		require.NoError(t, err)
		require.Equal(t, []byte{i}, reply)
	}
	require.Zero(t, server.Stats().RequestsMisused)
}

// Without a handler's making there is no request, which a test of a handler is
// to be told rather than crash somewhere in this package.
func TestTheZeroRequestSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(peregrine.Request){
		"Method": func(r peregrine.Request) { r.Method() }, "Data": func(r peregrine.Request) { r.Data() },
		"Peer": func(r peregrine.Request) { r.Peer() }, "Deadline": func(r peregrine.Request) { r.Deadline() },
		"Context": func(r peregrine.Request) { r.Context() }, "Canceled": func(r peregrine.Request) { r.Canceled() },
		"Reply": func(r peregrine.Request) { r.Reply(nil) }, "Fail": func(r peregrine.Request) { r.Fail(peregrine.Internal, "") },
		"Defer": func(r peregrine.Request) { r.Defer() }, "ReplyThen": func(r peregrine.Request) { r.ReplyThen(nil, nil) },
	} {
		require.PanicsWithValue(t, "peregrine: this Request is a zero value; only those that handlers are given stand for a request",
			func() { use(peregrine.Request{}) }, name)
	}
}
