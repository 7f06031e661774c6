package peregrine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, opts ...peregrine.Option) *peregrine.Endpoint {
	t.Helper()
	e, err := peregrine.Listen("udp://127.0.0.1:0", opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	e.Handle(echo, func(r peregrine.Request) { r.Reply(r.Data()) })
	return e
}

func connect(t *testing.T, server *peregrine.Endpoint, opts ...peregrine.Option) *peregrine.Session {
	t.Helper()
	s, err := peregrine.Dial(within(t, time.Minute), server.Addr().String(), opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func code(t *testing.T, err error) peregrine.Code {
	t.Helper()
	var e *peregrine.Error
	require.ErrorAs(t, err, &e)
	return e.Code
}

func TestManyGoroutinesShareASession(t *testing.T) {
	t.Parallel()
	for _, poll := range []peregrine.Poll{peregrine.Adaptive, peregrine.Block, peregrine.Busy} {
		t.Run(poll.String(), func(t *testing.T) {
			server := serve(t, peregrine.WithPoll(poll))
			s := connect(t, server, peregrine.WithPoll(poll))
			var all sync.WaitGroup
			for g := range 32 {
				all.Go(func() {
					request := binary.LittleEndian.AppendUint64(nil, uint64(g))
					for range 50 {
						reply, err := s.Call(context.Background(), echo, request, nil)
						if err != nil || !bytes.Equal(reply, request) {
							t.Errorf("reply %x, error %v", reply, err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}

func TestLargeMessagesArriveWholeOverABadNetwork(t *testing.T) {
	t.Parallel()
	bad := peregrine.WithFault("loss=0.01,dup=0.01,reorder=0.02,corrupt=0.01,seed=3")
	server := serve(t, bad)
	s := connect(t, server, bad)
	request := make([]byte, 1<<20)
	for i := range request {
		request[i] = byte(i * i)
	}
	reply, err := s.Call(within(t, time.Minute), echo, request, make([]byte, 0, len(request)))
	require.NoError(t, err)
	require.True(t, bytes.Equal(request, reply))
}

func TestSeveralLoopsServeAndCall(t *testing.T) {
	t.Parallel()
	server := serve(t, peregrine.WithLoops(2))
	client, err := peregrine.Listen("udp://127.0.0.1:0", peregrine.WithLoops(2))
	require.NoError(t, err)
	defer client.Close()
	for i := range 4 {
		s, err := client.Dial(within(t, time.Minute), server.Addr().String())
		require.NoError(t, err)
		reply, err := s.Call(within(t, time.Minute), echo, []byte{byte(i)}, nil)
		require.NoError(t, err)
		require.Equal(t, []byte{byte(i)}, reply)
		require.NoError(t, s.Close())
	}
}

func TestAnEndpointRunsInMemory(t *testing.T) {
	t.Parallel()
	a, b := mem.Pair()
	given := func(tr transport.Transport) peregrine.Option {
		return peregrine.WithTransports(func(int, int) (transport.Transport, error) { return tr, nil })
	}
	server, err := peregrine.Listen("", given(a))
	require.NoError(t, err)
	defer server.Close()
	server.Handle(echo, func(r peregrine.Request) { r.Reply(r.Data()) })
	s, err := peregrine.Dial(within(t, time.Minute), a.LocalAddr().String(), given(b))
	require.NoError(t, err)
	defer s.Close()
	reply, err := s.Call(context.Background(), echo, []byte("near"), nil)
	require.NoError(t, err)
	require.Equal(t, "near", string(reply))
}

func TestHandlersRunWhereTheirMethodSays(t *testing.T) {
	t.Parallel()
	pool := peregrine.NewPool(2, 64)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	server := serve(t)
	for method, where := range map[uint16]peregrine.HandleOption{
		10: peregrine.Inline(),
		11: peregrine.Go(64),
		12: peregrine.Pooled(pool),
		13: peregrine.Partition(pool, func(b []byte) uint64 { return uint64(b[0]) }),
	} {
		server.Handle(method, func(r peregrine.Request) {
			if len(r.Data()) > 1 {
				r.Fail(peregrine.InvalidArgument, "too long")
				return
			}
			r.Reply([]byte{r.Data()[0] + 1})
			r.Reply([]byte("a second answer does not count"))
		}, where)
	}
	s := connect(t, server)
	for method := uint16(10); method <= 13; method++ {
		for i := range byte(20) {
			reply, err := s.Call(within(t, time.Minute), method, []byte{i}, nil)
			require.NoError(t, err, "method %d", method)
			require.Equal(t, []byte{i + 1}, reply)
		}
		_, err := s.Call(within(t, time.Minute), method, []byte("long"), nil)
		require.Equal(t, peregrine.InvalidArgument, code(t, err))
	}
}

func TestAFullPoolPushesBackAndStallsNobodyElse(t *testing.T) {
	t.Parallel()
	pool := peregrine.NewPool(1, 1)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	server := serve(t)
	release := make(chan struct{})
	server.Handle(7, func(r peregrine.Request) {
		<-release
		r.Reply(nil)
	}, peregrine.Pooled(pool))
	s := connect(t, server)
	var refused, served atomic.Int32
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			_, err := s.Call(context.Background(), 7, nil, nil)
			if err == nil {
				served.Add(1)
			} else if errors.Is(err, &peregrine.Error{Code: peregrine.ResourceExhausted}) {
				if refused.Add(1) == 8 {
					close(release) // one runs, one is queued, eight were refused
				}
			}
		})
	}
	reply, err := s.Call(within(t, time.Minute), echo, []byte("quick"), nil)
	require.NoError(t, err)
	require.Equal(t, "quick", string(reply))
	all.Wait()
	require.EqualValues(t, 8, refused.Load())
	require.EqualValues(t, 2, served.Load())
}

func TestCallsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	server := serve(t)
	server.Handle(7, func(r peregrine.Request) { r.Defer() }) // never answers
	s := connect(t, server)

	canceled, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err := s.Call(canceled, 7, nil, nil)
	require.ErrorIs(t, err, context.Canceled)

	_, err = s.Call(within(t, 10*time.Millisecond), 7, nil, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestShutdownFinishesWhatWasAccepted(t *testing.T) {
	t.Parallel()
	server := serve(t)
	begun, release := make(chan struct{}), make(chan struct{})
	finish := sync.OnceFunc(func() { close(release) })
	defer finish()
	server.Handle(7, func(r peregrine.Request) {
		close(begun)
		<-release
		r.Reply([]byte("finished"))
	}, peregrine.Go(1))
	s := connect(t, server)
	slow := make(chan error, 1)
	go func() {
		reply, err := s.Call(context.Background(), 7, nil, nil)
		if err == nil && string(reply) != "finished" {
			err = fmt.Errorf("reply %q", reply)
		}
		slow <- err
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- server.Shutdown(within(t, time.Minute)) }()
	var err error
	for ctx := within(t, time.Minute); err == nil; {
		_, err = s.Call(ctx, echo, nil, nil)
	}
	require.Equal(t, peregrine.Unavailable, code(t, err), "what comes later is refused")
	finish()
	require.NoError(t, <-slow)
	require.NoError(t, <-stopped)
	_, err = s.Call(within(t, time.Minute), echo, nil, nil)
	require.Equal(t, peregrine.Unavailable, code(t, err))
}

func TestShutdownSaysThatItCutWorkOff(t *testing.T) {
	t.Parallel()
	server := serve(t)
	begun := make(chan struct{})
	server.Handle(7, func(r peregrine.Request) {
		r.Defer()
		close(begun)
	})
	s := connect(t, server)
	cut := make(chan error, 1)
	s.Go(&peregrine.Call{Method: 7, Done: func(c *peregrine.Call) { cut <- c.Err }})
	<-begun
	err := server.Shutdown(within(t, 10*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, peregrine.Unavailable, code(t, <-cut))
}

func TestAClosedEndpointFailsItsCalls(t *testing.T) {
	t.Parallel()
	server := serve(t)
	server.Handle(7, func(r peregrine.Request) { r.Defer() })
	client, err := peregrine.Listen("udp://127.0.0.1:0")
	require.NoError(t, err)
	s, err := client.Dial(within(t, time.Minute), server.Addr().String())
	require.NoError(t, err)
	pending := make(chan error, 1)
	s.Go(&peregrine.Call{Method: 7, Done: func(c *peregrine.Call) { pending <- c.Err }})
	require.NoError(t, client.Close())
	require.Equal(t, peregrine.Canceled, code(t, <-pending))
	_, err = s.Call(context.Background(), echo, nil, nil)
	require.Equal(t, peregrine.Unavailable, code(t, err))
	require.NoError(t, client.Close(), "closing twice is no error")
}

func TestDialSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := peregrine.Dial(context.Background(), "nowhere")
	require.ErrorContains(t, err, "host:port")
	_, err = peregrine.Dial(context.Background(), "127.0.0.1:9", peregrine.WithConfig(peregrine.Config{ConnectTimeout: 50 * time.Millisecond}))
	require.Error(t, err)
	require.Regexp(t, `is a server running there\?|connection refused`, err.Error(), "as far as the system tells")
	_, err = peregrine.Listen("udp://127.0.0.1:0", peregrine.WithConfig(peregrine.Config{Credits: 1 << 20}))
	require.ErrorContains(t, err, "credits")
	_, err = peregrine.Listen("udp://127.0.0.1:0?colour=red")
	require.ErrorContains(t, err, "colour")
	_, err = peregrine.Listen("udp://127.0.0.1:0", peregrine.WithFault("loss=2"))
	require.ErrorContains(t, err, "loss")
}

func TestConnectionsAreLoggedAndCounted(t *testing.T) {
	t.Parallel()
	seen, logs := observer.New(zap.InfoLevel)
	server := serve(t, peregrine.WithLogger(zap.New(seen)))
	s := connect(t, server)
	_, err := s.Call(within(t, time.Minute), echo, []byte("x"), nil)
	require.NoError(t, err)
	require.Equal(t, 1, logs.FilterMessage("peer connected").Len())
	require.Eventually(t, func() bool { return server.Stats().RequestsHandled == 1 }, time.Minute, time.Millisecond)
	rtt, err := s.Ping(within(t, time.Minute))
	require.NoError(t, err)
	require.Positive(t, rtt)
}

func TestALoopWithACPUOfItsOwnEndsWhateverItsTransport(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"udp://127.0.0.1:0", "auto://127.0.0.1:0", "iouring://127.0.0.1:0"} {
		server, err := peregrine.Listen(url, peregrine.WithCPU(0))
		if errors.Is(err, transport.ErrUnavailable) {
			continue
		}
		require.NoError(t, err)
		server.Handle(echo, func(r peregrine.Request) { r.Reply(r.Data()) })
		reply, err := connect(t, server).Call(within(t, time.Minute), echo, []byte("y"), nil)
		require.NoError(t, err)
		require.Equal(t, "y", string(reply))
		require.NoError(t, server.Close())
	}
}

func TestAFileLeavesTheChoiceOfABackendToAuto(t *testing.T) {
	t.Parallel()
	for text, wrong := range map[string]string{
		"transport: auto": "",
		"transport: auto://127.0.0.1:0?recv_buffer=300000":                   "",
		"transport: {auto: {address: \"127.0.0.1:0\", recv_buffer: 300000}}": "",
		"transport: {auto: {recv_buffer: 300000}}":                           "auto needs an address",
		"transport: {auto: {address: \"127.0.0.1:0\", recv_bufer: 300000}}":  `did you mean "recv_buffer"?`,
	} {
		path := filepath.Join(t.TempDir(), "peregrine.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		f, err := peregrine.LoadConfig(path)
		if wrong != "" {
			require.ErrorContains(t, err, wrong)
			continue
		}
		require.NoError(t, err, text)
		e, err := f.Listen()
		require.NoError(t, err, text)
		require.NotEmpty(t, e.Caps().Backend)
		require.NoError(t, e.Close())
	}
}

func TestAConfigurationFileOpensAnEndpoint(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f.yaml")
	text := "transport: {udp: {address: \"127.0.0.1:0\", recv_buffer: 1048576}}\npoll: block\nengine: {slots: 4, keep_alive: 1s}\n"
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	f, err := peregrine.LoadConfig(path)
	require.NoError(t, err)
	server, err := f.Listen()
	require.NoError(t, err)
	defer server.Close()
	server.Handle(echo, func(r peregrine.Request) { r.Reply(r.Data()) })
	reply, err := connect(t, server).Call(within(t, time.Minute), echo, []byte("y"), nil)
	require.NoError(t, err)
	require.Equal(t, "y", string(reply))
}

func TestAHandlerGivenToListenServesTheFirstRequest(t *testing.T) {
	t.Parallel()
	server, err := peregrine.Listen("udp://127.0.0.1:0",
		peregrine.WithHandler(9, func(r peregrine.Request) { r.Reply([]byte("ready")) }, peregrine.Go(4)))
	require.NoError(t, err)
	defer server.Close()
	reply, err := connect(t, server).Call(within(t, time.Minute), 9, nil, nil)
	require.NoError(t, err)
	require.Equal(t, "ready", string(reply))
}

func TestAHandlerThatForgetsToReplyFailsTheCall(t *testing.T) {
	t.Parallel()
	pool := peregrine.NewPool(1, 4)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	server := serve(t)
	forget := func(peregrine.Request) {}
	server.Handle(10, forget)
	server.Handle(11, forget, peregrine.Go(4))
	server.Handle(12, forget, peregrine.Pooled(pool))
	s := connect(t, server)
	for method := uint16(10); method <= 12; method++ {
		_, err := s.Call(within(t, time.Minute), method, nil, nil)
		require.Equal(t, peregrine.Internal, code(t, err), "method %d", method)
	}
}
