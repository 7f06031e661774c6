package peregrine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// hasty gives attempts to connect up soon, though not so soon that a busy machine
// fails them.
var hasty = peregrine.WithConfig(peregrine.Config{ConnectTimeout: time.Second})

func TestTheStateOfAConnectionIsSeen(t *testing.T) {
	t.Parallel()
	server, err := peregrine.Listen("udp://127.0.0.1:0")
	require.NoError(t, err)
	client, err := peregrine.Listen("udp://127.0.0.1:0")
	require.NoError(t, err)
	defer client.Close()
	s, err := client.Dial(within(t, 30*time.Second), server.Addr().String())
	require.NoError(t, err)
	type change struct {
		state peregrine.ConnState
		why   error
	}
	changes := make(chan change, 100)
	s.Notify(func(state peregrine.ConnState, why error) { changes <- change{state, why} })
	require.Equal(t, peregrine.Ready, s.State())
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.False(t, s.WaitForStateChange(ended, peregrine.Ready))
	require.True(t, s.WaitForStateChange(ended, peregrine.Idle), "it is another already")

	waited := make(chan bool, 1)
	go func() { waited <- s.WaitForStateChange(within(t, 30*time.Second), peregrine.Ready) }()
	require.NoError(t, server.Close())
	require.True(t, <-waited)
	lost := <-changes
	require.Equal(t, peregrine.Idle, lost.state)
	require.Error(t, lost.why)

	_, err = s.Call(within(t, 30*time.Second), echo, nil, nil)
	require.Equal(t, peregrine.Unavailable, peregrine.CodeOf(err), "%v", err)
	require.Equal(t, peregrine.Connecting, (<-changes).state)
	failed := <-changes
	require.Equal(t, peregrine.TransientFailure, failed.state)
	require.Equal(t, peregrine.Unavailable, peregrine.CodeOf(failed.why))

	require.NoError(t, s.Close())
	require.Eventually(t, func() bool { return s.State() == peregrine.Shutdown }, 30*time.Second, time.Millisecond)
}

func TestAClosedEndpointShutsItsSessionsDown(t *testing.T) {
	t.Parallel()
	server := serve(t)
	client, err := peregrine.Listen("udp://127.0.0.1:0")
	require.NoError(t, err)
	s, err := client.Dial(within(t, 30*time.Second), server.Addr().String())
	require.NoError(t, err)
	require.NoError(t, client.Close())
	require.Equal(t, peregrine.Shutdown, s.State())
	require.Zero(t, s.MTU())
	require.Equal(t, server.Addr(), s.Peer())
}

func TestASessionTellsOfItsPath(t *testing.T) {
	t.Parallel()
	server := serve(t)
	s := connect(t, server)
	requireEcho(t, s)
	require.Positive(t, s.RTT())
	require.GreaterOrEqual(t, s.MTU(), 1200)
	require.True(t, s.LocalAddr().Addr().IsLoopback())
	require.NotZero(t, s.LocalAddr().Port())
	require.Equal(t, server.Addr(), s.Peer())
}

func TestWhoOnlyDialsRefusesStrangers(t *testing.T) {
	t.Parallel()
	s := connect(t, serve(t))
	_, err := peregrine.Dial(within(t, 30*time.Second), s.LocalAddr().String(), hasty)
	require.Equal(t, peregrine.Unavailable, peregrine.CodeOf(err), "%v", err)
}

func TestADialMayWaitForNothing(t *testing.T) {
	t.Parallel()
	nobody, _ := mute(t, "127.0.0.1:0")
	s, err := peregrine.Dial(within(t, 30*time.Second), nobody.String(), peregrine.WithLazyDial(), hasty)
	require.NoError(t, err)
	defer s.Close()
	require.Contains(t, []peregrine.ConnState{peregrine.Connecting, peregrine.TransientFailure, peregrine.Idle}, s.State())
	_, err = s.Call(within(t, 30*time.Second), echo, nil, nil)
	require.Equal(t, peregrine.Unavailable, peregrine.CodeOf(err), "%v", err)

	server := serve(t)
	s, err = peregrine.Dial(within(t, 30*time.Second), server.Addr().String(), peregrine.WithLazyDial())
	require.NoError(t, err)
	defer s.Close()
	requireEcho(t, s)
}

func TestCallsThatWaitForReadyOutliveFailedAttempts(t *testing.T) {
	t.Parallel()
	server := listenOn(t, "udp://127.0.0.1:0")
	addr := server.Addr().String()
	client, err := peregrine.Listen("udp://127.0.0.1:0", peregrine.WithWaitForReady())
	require.NoError(t, err)
	defer client.Close()
	s, err := client.Dial(within(t, 30*time.Second), addr)
	require.NoError(t, err)
	require.NoError(t, server.Close())
	require.True(t, s.WaitForStateChange(within(t, 30*time.Second), peregrine.Ready))

	waiting := make(chan error, 2)
	go func() {
		_, err := s.Call(within(t, 30*time.Second), echo, nil, nil)
		waiting <- err
	}()
	s.Go(&peregrine.Call{Method: echo, Done: func(c *peregrine.Call) { waiting <- c.Err }})
	for state := s.State(); state != peregrine.TransientFailure; state = s.State() {
		require.True(t, s.WaitForStateChange(within(t, 30*time.Second), state))
	}
	err = outcome(s, &peregrine.Call{Method: echo, Timeout: 50 * time.Millisecond})
	require.Equal(t, peregrine.DeadlineExceeded, peregrine.CodeOf(err))
	require.ErrorContains(t, err, "not connected")

	listenOn(t, "udp://"+addr)
	require.NoError(t, <-waiting)
	require.NoError(t, <-waiting)
}

// outcome makes a call that only the loop's clock ends.
func outcome(s *peregrine.Session, c *peregrine.Call) error {
	ended := make(chan error, 1)
	c.Done = func(c *peregrine.Call) { ended <- c.Err }
	s.Go(c)
	return <-ended
}

func TestErrorsNameTheirCause(t *testing.T) {
	t.Parallel()
	server := serve(t, peregrine.WithConfig(peregrine.Config{MaxMessage: 1000, Slots: 1}))
	server.Handle(7, func(r peregrine.Request) { r.Defer() }) // never answers
	s := connect(t, server)
	_, err := s.Call(within(t, 30*time.Second), echo, make([]byte, 1001), nil)
	require.Equal(t, peregrine.ResourceExhausted, peregrine.CodeOf(err))
	require.ErrorContains(t, err, "message of 1001 bytes")

	s.Go(&peregrine.Call{Method: 7, Done: func(*peregrine.Call) {}})
	err = outcome(s, &peregrine.Call{Method: echo, Timeout: 50 * time.Millisecond})
	require.Equal(t, peregrine.DeadlineExceeded, peregrine.CodeOf(err))
	require.ErrorContains(t, err, "waited for a slot")
	require.ErrorIs(t, err, context.DeadlineExceeded)

	_, err = peregrine.Dial(within(t, 30*time.Second), "[2001:db8::1]:9", peregrine.WithTransport("udp://127.0.0.1:0"))
	require.ErrorContains(t, err, "IPv")
}

func TestInterceptorsSurroundACall(t *testing.T) {
	t.Parallel()
	server := serve(t)
	var mu sync.Mutex
	var seen []string
	note := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, text)
	}
	named := func(name string) peregrine.Option {
		return peregrine.WithCallInterceptor(func(next peregrine.CallFunc) peregrine.CallFunc {
			return func(ctx context.Context, method peregrine.Method, request, buf []byte) ([]byte, error) {
				note(name + " before")
				reply, err := next(ctx, method, append(request, name...), buf)
				note(name + " after")
				return reply, err
			}
		})
	}
	refused := errors.New("not that one")
	guard := peregrine.WithCallInterceptor(func(next peregrine.CallFunc) peregrine.CallFunc {
		return func(ctx context.Context, method peregrine.Method, request, buf []byte) ([]byte, error) {
			if method.Number() == 99 {
				return nil, refused
			}
			return next(ctx, method, request, buf)
		}
	})
	s := connect(t, server, named("outer"), named("inner"), guard)
	reply, err := s.Call(within(t, 30*time.Second), echo, nil, nil)
	require.NoError(t, err)
	require.Equal(t, "outerinner", string(reply))
	require.Equal(t, []string{"outer before", "inner before", "inner after", "outer after"}, seen)
	_, err = s.Call(within(t, 30*time.Second), 99, nil, nil)
	require.ErrorIs(t, err, refused)
}

func TestConnectionsAreLoggedToSlog(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer // written by the loop, read once that has ended
	log := slog.New(slog.NewJSONHandler(&text, nil)).With("service", "echo")
	server, err := peregrine.Listen("udp://127.0.0.1:0", peregrine.WithSlog(log))
	require.NoError(t, err)
	s := connect(t, server)
	local := s.LocalAddr()
	require.NoError(t, server.Close())
	var line struct{ Level, Msg, Service, Peer, Address string }
	var messages []string
	for decoder := json.NewDecoder(&text); decoder.More(); {
		require.NoError(t, decoder.Decode(&line))
		require.Equal(t, "INFO", line.Level)
		require.Equal(t, "echo", line.Service)
		messages = append(messages, line.Msg)
		if line.Msg == "peer connected" {
			require.Equal(t, local.String(), line.Peer)
		}
	}
	require.Contains(t, messages, "endpoint open")
	require.Contains(t, messages, "peer connected")
}
