package peregrine_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/peregrine-rpc/peregrine"
)

// directory is a resolver whose one name moves.
type directory struct {
	sync.Mutex
	addrs []netip.Addr
}

func (d *directory) moves(addrs ...netip.Addr) {
	d.Lock()
	defer d.Unlock()
	d.addrs = addrs
}

func (d *directory) option() peregrine.Option {
	return peregrine.WithResolver(names(func(string) ([]netip.Addr, error) {
		d.Lock()
		defer d.Unlock()
		return d.addrs, nil
	}))
}

// sibling opens an echo server on the same port of another address.
func sibling(t *testing.T, server *peregrine.Endpoint, host string) *peregrine.Endpoint {
	t.Helper()
	e, err := peregrine.Listen("udp://"+at(host, server.Addr()), peregrine.WithHandler(echo, func(r peregrine.Request) { r.Reply(r.Data()) }))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

func TestASessionFollowsItsServersName(t *testing.T) {
	t.Parallel()
	first := listenOn(t, "udp://127.0.0.1:0")
	second := sibling(t, first, "127.0.0.2")
	var name directory
	name.moves(first.Addr().Addr())
	s, err := peregrine.Dial(within(t, 30*time.Second), at("service.example", first.Addr()), name.option())
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, first.Addr(), s.Peer())

	name.moves(second.Addr().Addr())
	requireEcho(t, s)
	require.Equal(t, first.Addr(), s.Peer(), "a connection that works stays")
	require.NoError(t, first.Close())
	require.Eventually(t, func() bool {
		_, err := s.Call(within(t, 30*time.Second), echo, nil, nil)
		return err == nil
	}, 60*time.Second, time.Millisecond)
	require.Equal(t, second.Addr(), s.Peer())
}

func TestACallWaitsUntilTheNameHasMoved(t *testing.T) {
	t.Parallel()
	first := listenOn(t, "udp://127.0.0.1:0")
	var name directory
	name.moves(first.Addr().Addr())
	s, err := peregrine.Dial(within(t, 30*time.Second), at("service.example", first.Addr()), name.option(), peregrine.WithWaitForReady())
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, first.Close())
	require.True(t, s.WaitForStateChange(within(t, 30*time.Second), peregrine.Ready))
	waiting := make(chan error, 1)
	go func() {
		_, err := s.Call(within(t, 60*time.Second), echo, nil, nil)
		waiting <- err
	}()
	for state := s.State(); state != peregrine.TransientFailure; state = s.State() {
		require.True(t, s.WaitForStateChange(within(t, 30*time.Second), state))
	}
	second := sibling(t, first, "127.0.0.2")
	name.moves(second.Addr().Addr())
	require.NoError(t, <-waiting)
	require.Equal(t, second.Addr(), s.Peer())
}

func TestASessionTakesTheNextAddressWhereOneFails(t *testing.T) {
	t.Parallel()
	first := listenOn(t, "udp://127.0.0.1:0")
	second := sibling(t, first, "127.0.0.2")
	s, err := peregrine.Dial(within(t, 30*time.Second), at("service.example", first.Addr()), is("127.0.0.1", "127.0.0.2"), hasty, peregrine.WithWaitForReady())
	require.NoError(t, err)
	defer s.Close()
	here, there := first, second
	if s.Peer() == second.Addr() { // on a slow machine
		here, there = second, first
	}
	require.NoError(t, here.Close())
	requireMoved(t, s, there.Addr())
}

func TestALazyDialTriesTheAddressesInTheBackground(t *testing.T) {
	t.Parallel()
	server := listenOn(t, "udp://127.0.0.1:0")
	s, err := peregrine.Dial(within(t, 30*time.Second), at("service.example", server.Addr()), is("127.0.0.2", "127.0.0.1"), hasty,
		peregrine.WithLazyDial(), peregrine.WithWaitForReady())
	require.NoError(t, err)
	defer s.Close()
	requireEcho(t, s)
	require.Equal(t, server.Addr(), s.Peer())
}

// requireMoved has a session whose server has closed reach it at another address. It
// may be there before anybody looks, or wait for a call.
func requireMoved(t *testing.T, s *peregrine.Session, to netip.AddrPort) {
	t.Helper()
	require.Eventually(t, func() bool { return s.State() != peregrine.Ready || s.Peer() == to }, time.Minute, time.Millisecond)
	requireEcho(t, s)
	require.Equal(t, to, s.Peer())
}

// Patience beyond the test's makes an attempt at a silent host as good as endless.
var patient = peregrine.WithConfig(peregrine.Config{ConnectTimeout: time.Hour})

func TestASessionIsFoundBesideSilentHosts(t *testing.T) {
	t.Parallel()
	server := listenOn(t, "udp://127.0.0.1:0")
	mute(t, at("127.0.0.3", server.Addr()))
	mute(t, at("127.0.0.4", server.Addr()))
	s, err := peregrine.Dial(within(t, time.Minute), at("service.example", server.Addr()), is("127.0.0.3", "127.0.0.4", "127.0.0.1"),
		patient, peregrine.WithLazyDial())
	require.NoError(t, err)
	defer s.Close()
	requireEcho(t, s)
	require.Equal(t, server.Addr(), s.Peer())
}

func TestASessionFindsItsServerAgainBesideSilentHosts(t *testing.T) {
	t.Parallel()
	first := listenOn(t, "udp://127.0.0.1:0")
	var name directory
	name.moves(first.Addr().Addr())
	s, err := peregrine.Dial(within(t, time.Minute), at("service.example", first.Addr()), name.option(), patient, peregrine.WithWaitForReady())
	require.NoError(t, err)
	defer s.Close()
	mute(t, at("127.0.0.3", first.Addr()))
	mute(t, at("127.0.0.4", first.Addr()))
	second := sibling(t, first, "127.0.0.5")
	name.moves(netip.MustParseAddr("127.0.0.3"), netip.MustParseAddr("127.0.0.4"), second.Addr().Addr())
	require.NoError(t, first.Close())
	requireMoved(t, s, second.Addr())
}

func TestANameMayMoveToTheOtherFamily(t *testing.T) {
	t.Parallel()
	six := listenOn(t, "udp://[::1]:0")
	four := sibling(t, six, "127.0.0.1")
	var name directory
	name.moves(four.Addr().Addr())
	s, err := peregrine.Dial(within(t, time.Minute), at("service.example", four.Addr()), name.option(), peregrine.WithWaitForReady())
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, four.Addr(), s.Peer())
	name.moves(six.Addr().Addr())
	require.NoError(t, four.Close())
	requireMoved(t, s, six.Addr())
}

func TestCallsSayWhyASessionCannotFollowItsServer(t *testing.T) {
	t.Parallel()
	first := listenOn(t, "udp://127.0.0.1:0")
	var name directory
	name.moves(first.Addr().Addr())
	seen, logs := observer.New(zap.WarnLevel)
	s, err := peregrine.Dial(within(t, time.Minute), at("service.example", first.Addr()), name.option(),
		peregrine.WithTransport("udp://127.0.0.1:0"), peregrine.WithLogger(zap.New(seen)))
	require.NoError(t, err)
	defer s.Close()
	name.moves(netip.IPv6Loopback())
	require.NoError(t, first.Close())
	var last error
	require.Eventually(t, func() bool {
		_, last = s.Call(within(t, time.Minute), echo, nil, nil)
		return last != nil && strings.Contains(last.Error(), "[::1]") && strings.Contains(last.Error(), "cannot be reached")
	}, time.Minute, time.Millisecond)
	require.Equal(t, peregrine.Unavailable, peregrine.CodeOf(last))
	require.NotZero(t, logs.FilterMessage("server is not found").Len())
	name.moves()
	require.Eventually(t, func() bool {
		_, last = s.Call(within(t, time.Minute), echo, nil, nil)
		return last != nil && strings.Contains(last.Error(), "has no address")
	}, time.Minute, time.Millisecond)
}
