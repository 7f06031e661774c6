package relay

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/transport"
	_ "github.com/peregrine-rpc/peregrine/transport/mem"
)

// patient endpoints wait for each other as long as a loaded machine needs.
var patient = peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})

const echo = 1

// served is an echo server's address.
func served(t *testing.T, url string) netip.AddrPort {
	t.Helper()
	e, err := peregrine.Listen(url, patient, peregrine.WithHandler(echo, func(r peregrine.Request) { r.Reply(r.Data()) }))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e.Addr()
}

// running relays until the test ends.
func running(t *testing.T, cfg Config, from, to string) *Relay {
	t.Helper()
	inside, err := transport.Open(from)
	require.NoError(t, err)
	if cfg.Idle == 0 {
		cfg.Idle = time.Hour
	}
	r, err := New(cfg, inside, func() (transport.Transport, error) { return transport.Open(to) })
	require.NoError(t, err)
	ended := make(chan error)
	go func() { ended <- r.Run() }()
	t.Cleanup(func() {
		r.Stop()
		require.NoError(t, <-ended)
		require.NoError(t, r.Close())
		r.Stop() // is of no consequence
	})
	return r
}

// dialed is a session through a relay, over a transport of its own.
func dialed(t *testing.T, r *Relay, url string) *peregrine.Session {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := peregrine.Dial(ctx, r.Addr().String(), peregrine.WithTransport(url), patient)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// call echoes so many random bytes.
func call(t *testing.T, s *peregrine.Session, size int) {
	t.Helper()
	request := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(request)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	reply, err := s.Call(ctx, echo, request, nil)
	require.NoError(t, err)
	require.True(t, bytes.Equal(request, reply))
}

func TestCallsPassOverRealSockets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		server, from, to, client string
		spin                     time.Duration
	}{
		{"udp://127.0.0.1:0", "udp://127.0.0.1:0", "udp://127.0.0.1:0", "udp://127.0.0.1:0", 0},
		{"udp://127.0.0.1:0", "udp://127.0.0.1:0", "udp://127.0.0.1:0", "udp://127.0.0.1:0", 200 * time.Microsecond},
		{"udp://[::1]:0", "udp://127.0.0.1:0", "udp://[::1]:0", "udp://127.0.0.1:0", 0},
		{"udp://127.0.0.1:0", "udp://[::1]:0", "udp://127.0.0.1:0", "udp://[::1]:0", 0},
		{"udp://127.0.0.1:0", "udp://:0", "udp://0.0.0.0:0", "udp://127.0.0.1:0", 0},
		{"mem://127.0.0.1:0", "mem://127.0.0.1:0", "mem://127.0.0.1:0", "mem://127.0.0.1:0", 0},
		{"mem://127.0.0.1:0", "udp://127.0.0.1:0", "mem://127.0.0.1:0", "udp://127.0.0.1:0", Forever},
	} {
		t.Run(fmt.Sprintf("%s to %s, spin %v", c.from, c.to, c.spin), func(t *testing.T) {
			t.Parallel()
			r := running(t, Config{Server: served(t, c.server), MaxFlows: 8, Spin: c.spin}, c.from, c.to)
			for _, size := range []int{0, 32, 1400, 100_000, 8 << 20} {
				call(t, dialed(t, r, c.client), size)
			}
			s := r.Stats()
			require.Equal(t, s.ToServer+s.ToClients, s.Copied+s.WithoutCopy)
			require.EqualValues(t, 5, s.FlowsOpened)
			require.Zero(t, s.Strangers+s.NoFlow)
		})
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	t.Parallel()
	const clients, calls = 20, 20
	r := running(t, Config{Server: served(t, "udp://127.0.0.1:0"), MaxFlows: clients}, "udp://127.0.0.1:0", "udp://127.0.0.1:0")
	var all sync.WaitGroup
	for i := range clients {
		s := dialed(t, r, "udp://127.0.0.1:0")
		all.Go(func() {
			for range calls {
				request := fmt.Appendf(nil, "client %d", i)
				reply, err := s.Call(t.Context(), echo, request, nil)
				if err != nil || string(reply) != string(request) {
					t.Errorf("%s got %s, %v", request, reply, err)
				}
			}
		})
	}
	all.Wait()
	require.EqualValues(t, clients, r.Stats().FlowsOpen)
}

func TestAServerThatIsNotThereIsHeardOf(t *testing.T) {
	t.Parallel()
	free, err := transport.Open("udp://127.0.0.1:0")
	require.NoError(t, err)
	nobody := free.LocalAddr()
	require.NoError(t, free.Close())
	r := running(t, Config{Server: nobody, MaxFlows: 2}, "udp://127.0.0.1:0", "udp://127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := peregrine.Dial(ctx, r.Addr().String())
		failed <- err
	}()
	require.Eventually(t, func() bool { return r.Stats().FlowsOpen == 1 }, time.Minute, time.Millisecond)
	cancel()
	require.Error(t, <-failed)
	if _, hears := r.inside.tr.(transport.UnreachableReporter); hears {
		require.Eventually(t, func() bool { return r.Stats().Unreachable > 0 }, time.Minute, time.Millisecond)
	}
}

func TestWhatCannotBeOpenedLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ to, server string }{
		{"udp://203.0.113.1:0", "127.0.0.1:1"}, // is not ours
		{"udp://127.0.0.1:0", "[::1]:1"},
	} {
		inside, err := transport.Open("udp://127.0.0.1:0")
		require.NoError(t, err)
		_, err = New(Config{Server: netip.MustParseAddrPort(c.server), MaxFlows: 1, Idle: time.Minute}, inside,
			func() (transport.Transport, error) { return transport.Open(c.to) })
		require.Error(t, err)
		_, err = inside.Recv(make([]transport.RxPacket, 1))
		require.ErrorIs(t, err, transport.ErrClosed)
	}
}
