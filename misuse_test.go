package peregrine_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// What nothing could be done with panics where it was given, whose stack shows
// the mistake, and not later on the loop.
func TestWhatIsNilPanicsWhereItIsGiven(t *testing.T) {
	t.Parallel()
	s := connect(t, serve(t))
	for name, mistake := range map[string]func(){
		"Go(nil)":      func() { s.Go(nil) },
		"Submit(nil)":  func() { s.Submit(nil) },
		"Cancel(nil)":  func() { s.Cancel(nil) },
		"Loop(nil)":    func() { s.Loop(nil) },
		"Go: Done":     func() { s.Go(&peregrine.Call{Method: echo}) },
		"Submit: Done": func() { s.Submit(&peregrine.Call{Method: echo}) },
	} {
		told := func() (told any) {
			defer func() { told = recover() }()
			mistake()
			return nil
		}()
		require.Contains(t, fmt.Sprint(told), "peregrine: ", name)
		require.Contains(t, fmt.Sprint(told), "nil", name)
	}
	requireEcho(t, s)
}

func TestANilHandleOptionIsRefused(t *testing.T) {
	t.Parallel()
	server := serve(t)
	err := server.Handle(7, nothing, peregrine.Inline(), nil, peregrine.Inline())
	require.Equal(t, []string{"option"}, keysOfErrors(err), "%v", err)
	_, err = peregrine.Listen("udp://127.0.0.1:0", peregrine.WithHandler(7, nothing, nil), peregrine.WithHandler(8, nothing, nil))
	require.Equal(t, []string{"option", "option"}, keysOfErrors(err), "%v", err)
}

func TestAClientHearsThatAHandlerEndedItsGoroutine(t *testing.T) {
	t.Parallel()
	server := serve(t)
	s := connect(t, server)
	for where, option := range map[string]peregrine.HandleOption{"inline": peregrine.Inline(), "off the loop": peregrine.Go(1)} {
		require.NoError(t, server.Handle(7, func(peregrine.Request) { runtime.Goexit() }, option))
		for range 3 { // the second and later run aside
			_, err := s.Call(within(t, 30*time.Second), 7, nil, nil)
			require.ErrorContains(t, err, "handler ended its goroutine", where)
			require.Equal(t, peregrine.Internal, peregrine.CodeOf(err), where)
		}
	}
}

func TestAnAddressOfManyHostsIsNotDialled(t *testing.T) {
	t.Parallel()
	client, err := peregrine.Listen("udp://:0")
	require.NoError(t, err)
	defer client.Close()
	for _, addr := range []string{"224.0.0.1:9", "255.255.255.255:9", "[ff02::1]:9"} {
		_, err := peregrine.Dial(within(t, time.Minute), addr)
		require.ErrorContains(t, err, "many hosts", addr)
		_, err = client.Dial(within(t, time.Minute), addr)
		require.ErrorContains(t, err, "many hosts", addr)
	}
	server := listenOn(t, "udp://127.0.0.1:0")
	s, err := peregrine.Dial(within(t, time.Minute), at("service.example", server.Addr()), is("224.0.0.1", "127.0.0.1"))
	require.NoError(t, err, "a name's other addresses are tried")
	require.NoError(t, s.Close())
}

// A worker that waits for the loop, which a handler holds that waits for the
// worker, would wait for ever. So it is on any loop, since the worker may wait
// for that of another endpoint too.
func TestAPoolClosedOnALoopDoesNotWait(t *testing.T) {
	t.Parallel()
	away := serve(t)
	server := serve(t)
	for _, on := range []*peregrine.Endpoint{server, away} {
		calls, err := on.Dial(within(t, 30*time.Second), server.Addr().String())
		require.NoError(t, err)
		begun, closed := make(chan struct{}), make(chan struct{})
		pool := peregrine.NewPool(1, 4)
		require.NoError(t, server.Handle(7, func(r peregrine.Request) {
			close(begun)
			<-closed
			_, err := calls.Call(within(t, time.Minute), echo, nil, nil)
			require.NoError(t, err)
			r.Reply(nil)
		}, peregrine.Pooled(pool)))
		s := connect(t, server)
		answered := make(chan error, 1)
		s.Go(&peregrine.Call{Method: 7, Done: func(c *peregrine.Call) { answered <- c.Err }})
		<-begun
		require.True(t, calls.Loop(func() {
			pool.Close()
			close(closed)
		}))
		require.NoError(t, <-answered)
		require.NoError(t, pool.Close())
	}
}
