package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

func TestCallsBeyondSlotsWaitAndBeyondTheQueueFail(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{Slots: 2})
	client := n.add(Config{Slots: 100, Queue: 3})
	s := n.connect(client, server)
	var calls [6]Call
	var done [6]*int
	for i := range calls {
		calls[i] = Call{Method: later, Request: []byte{byte(i)}}
		done[i] = n.submit(s, &calls[i])
	}
	n.run(time.Millisecond)
	require.Len(t, *deferred, 2)
	require.Equal(t, 1, *done[5])
	require.Equal(t, ResourceExhausted, failure(t, &calls[5]).Code)
	require.False(t, failure(t, &calls[5]).MayHaveExecuted)
	for i := range 5 {
		require.Zero(t, *done[i])
		(*deferred)[i].Reply(nil) // in the order submitted
		n.run(time.Millisecond)
		require.Equal(t, 1, *done[i])
		require.NoError(t, calls[i].Err)
	}
}

func TestAServerHoldsSoManyRequestsAndNoMore(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{Requests: 4})
	client := n.add(Config{})
	s := n.connect(client, server)
	calls := make([]Call, 20)
	for i := range calls {
		calls[i] = Call{Method: later, Request: []byte("x")}
		n.submit(s, &calls[i])
	}
	n.run(10 * time.Millisecond)
	require.Len(t, *deferred, 4)
	require.Equal(t, 4, server.Stats().RequestsHeld)
	for i := range calls[4:] {
		require.Equal(t, ResourceExhausted, failure(t, &calls[4+i]).Code)
	}
	for _, r := range *deferred {
		r.Reply(nil)
	}
	n.run(time.Millisecond)
	n.echoes(s, 10)
	n.settled(server, client)
}

func TestReassemblyMemoryIsBounded(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{MaxMessage: 100_000, ReassemblyMemory: 250_000})
	client := n.add(Config{})
	s := n.connect(client, server)
	calls := make([]Call, 5)
	for i := range calls {
		calls[i] = Call{Method: later, Request: pattern(100_000, 1)}
		n.submit(s, &calls[i])
	}
	n.run(100 * time.Millisecond)
	require.Len(t, *deferred, 2)
	require.InEpsilon(t, 200_000, server.Stats().ReassemblyBytes, 0.25)
	refused := 0
	for i := range calls {
		if calls[i].Err != nil {
			require.Equal(t, ResourceExhausted, failure(t, &calls[i]).Code)
			refused++
		}
	}
	require.Equal(t, 3, refused)
	n.echoes(s, 100) // small ones need none
	for _, r := range *deferred {
		r.Reply(nil)
	}
	n.settled(server, client)
	n.echoes(s, 100_000)
}

func TestAMessageMayBeTooLongInEitherDirection(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.echoServer(Config{MaxMessage: 10_000})
	client := n.add(Config{MaxMessage: 5000})
	s := n.connect(client, server)
	err := n.fails(s, &Call{Method: echo, Request: make([]byte, 10_001)})
	require.Equal(t, ResourceExhausted, err.Code)
	require.ErrorContains(t, err, "max_message")
	require.False(t, err.MayHaveExecuted)
	err = n.fails(s, &Call{Method: echo, Request: make([]byte, 5001)})
	require.Equal(t, ResourceExhausted, err.Code)
	require.ErrorContains(t, err, "max_message")
	require.True(t, err.MayHaveExecuted)
	n.echoes(s, 5000)
	require.Zero(t, len(s.free)-len(s.slots), "all slots are free")
	n.settled(server, client)
}

func TestSessionsAreBoundedByWhatTheServerSays(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{Sessions: 3}), n.add(Config{})
	var sessions []*Session
	for range 3 {
		sessions = append(sessions, n.connect(client, server))
	}
	_, err := client.Connect(server.addr)
	require.ErrorIs(t, err, &Error{Code: ResourceExhausted})
	sessions[1].Close()
	n.echoes(n.connect(client, server), 10)
}

func TestSessionsOpenedBeforeTheServerHasSpokenAreAnswered(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{Sessions: 3}), n.add(Config{})
	var calls [6]Call
	var done [6]*int
	for i := range calls {
		s, err := client.Connect(server.addr)
		require.NoError(t, err)
		calls[i] = Call{Method: echo}
		done[i] = n.submit(s, &calls[i])
	}
	n.run(10 * time.Millisecond)
	for i := range calls {
		require.Equal(t, 1, *done[i], "call %d hangs", i)
		if i < 3 {
			require.NoError(t, calls[i].Err)
		} else {
			require.Equal(t, ResourceExhausted, failure(t, &calls[i]).Code)
		}
	}
	n.settled(server, client)
}

func TestSessionsOfAllClientsTogetherAreBounded(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.echoServer(Config{Sessions: 3})
	a, b := n.add(Config{}), n.add(Config{})
	var sessions []*Session
	for range 3 {
		s := n.connect(a, server)
		n.echoes(s, 10)
		sessions = append(sessions, s)
	}
	s := n.connect(b, server)
	err := n.fails(s, &Call{Method: echo})
	require.Equal(t, ResourceExhausted, err.Code)
	require.ErrorContains(t, err, "sessions")
	require.Equal(t, 3, server.Stats().Sessions)
	sessions[0].Close()
	n.run(time.Millisecond)
	n.echoes(s, 10)
	n.settled(server, b)
}

func TestWrongSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for key, cfg := range map[string]Config{
		"slots":             {Slots: 1 << 16},
		"sessions":          {Sessions: -1},
		"peers":             {Peers: -1},
		"requests":          {Requests: -1},
		"queue":             {Queue: -5},
		"credits":           {Credits: MaxCredits + 1},
		"max_message":       {MaxMessage: 1 << 32},
		"reassembly_memory": {MaxMessage: 1 << 20, ReassemblyMemory: 1 << 19},
		"max_datagram":      {MaxDatagram: 1199},
		"ack_delay":         {AckDelay: time.Second},
		"keep_alive":        {KeepAlive: time.Millisecond},
		"connect_timeout":   {ConnectTimeout: time.Microsecond},
	} {
		err := cfg.Check()
		var setting *ConfigError
		require.ErrorAs(t, err, &setting, key)
		require.Equal(t, key, setting.Key)
		require.ErrorContains(t, err, "must be")
	}
	require.NoError(t, Config{}.Check())
	require.NoError(t, Config{MaxMessage: 1<<32 - 1}.Check())
}

func TestALimitHoldsAlsoIfThePeerForgetsIt(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{MaxMessage: 10_000}), n.add(Config{MaxMessage: 5000})
	s := n.connect(client, server)
	muxOf(client.toward(server)).maxMessage = 1 << 30
	err := n.fails(s, &Call{Method: echo, Request: make([]byte, 50_000)})
	require.Equal(t, ResourceExhausted, err.Code)
	require.False(t, err.MayHaveExecuted)
	muxOf(server.onlyClient()).maxMessage = 1 << 30
	err = n.fails(s, &Call{Method: echo, Request: make([]byte, 8000)})
	require.Equal(t, ResourceExhausted, err.Code)
	require.True(t, err.MayHaveExecuted)
	n.settled(server, client)
}

func TestATransportThatCarriesTooLittleIsRefused(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	n.mtu = 1000
	port := n.plug().Open(1)
	_, err := New(Config{}, port, n.Now())
	require.ErrorContains(t, err, "raise the device's MTU")
	_, err = New(Config{Slots: -1}, port, n.Now())
	require.ErrorContains(t, err, "slots")
}

func TestAMessageRefusedWhileItArrivesLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.echoServer(Config{Sessions: 1})
	a, b := n.add(Config{}), n.add(Config{})
	first := n.connect(a, server)
	n.connect(a, n.echoServer(Config{})) // keeps a running
	n.echoes(first, 10)
	second := n.connect(b, server)
	n.run(10 * time.Millisecond)
	// The fragments come one by one, and amid them there is room.
	fragments := time.Duration(0)
	n.late = func(_, _ netip.AddrPort, data []byte) time.Duration {
		if !holds(data, wire.Request) && !holds(data, wire.Cancel) {
			return 0
		}
		fragments++
		return fragments * 10 * time.Microsecond
	}
	c := Call{Method: echo, Request: pattern(30_000, 1)}
	done := n.submit(second, &c)
	n.run(n.delay + 50*time.Microsecond)
	first.Close()
	n.until(func() bool { return *done == 1 })
	require.Equal(t, ResourceExhausted, failure(t, &c).Code)
	n.run(time.Second)
	require.Equal(t, 1, server.Stats().Sessions)
	require.EqualValues(t, 1, server.Stats().RequestsHandled)
	require.Zero(t, server.Stats().RequestsHeld)
	require.Zero(t, server.Stats().ReassemblyBytes)
	n.late = nil
	n.echoes(second, 30_000)
	n.settled(server, b)
}

// What a server does not acknowledge is bounded, also where a client pings and cancels on.
func TestPingsAndCancelsBeyondTheBoundOfControlMessagesAreLeftOut(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, _ := n.slowServer(Config{})
	client := n.add(Config{})
	s := n.connect(client, server)
	call := Call{Method: later}
	n.submit(s, &call)
	n.run(time.Millisecond)
	n.partition()
	for range maxPings + 100 {
		s.mux.Ping(0)
	}
	require.Equal(t, maxPings, s.mux.controls)
	s.Cancel(&call)
	require.Equal(t, maxPings, s.mux.controls)
	require.Equal(t, Canceled, failure(t, &call).Code)
	n.heal()
	n.run(2 * time.Second)
	require.LessOrEqual(t, s.mux.controls, 1, "as they arrive there is room again")
	n.echoes(s, 10)
}

// All that is queued travels in large datagrams, and there is more of it than probes would
// get through in time: a ping has to overtake it.
func TestAPathThatNarrowsUnderManySmallMessagesIsFoundTo(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, _ := n.slowServer(Config{Requests: 4 * maxControls})
	client := n.add(Config{})
	s := n.connect(client, server)
	n.run(time.Second)
	require.Greater(t, s.MTU(), wire.MinHello)
	sessions := []*Session{s}
	var calls []*Call
	for len(calls) < maxControls+500 {
		if !s.hasSlot() {
			s = n.connect(client, server)
			sessions = append(sessions, s)
		}
		call := &Call{Method: later}
		n.submit(s, call)
		calls = append(calls, call)
	}
	n.run(10 * time.Millisecond)
	n.drop = func(_, _ netip.AddrPort, data []byte) bool { return len(data) > wire.MinHello }
	for _, call := range calls {
		call.session.Cancel(call)
		require.Equal(t, Canceled, failure(t, call).Code)
	}
	require.GreaterOrEqual(t, s.mux.controls, maxControls)
	for _, s := range sessions {
		n.echoes(s, 10)
	}
	require.Zero(t, client.Stats().PeersFailed)
	require.EqualValues(t, 1, client.Stats().MTUReductions)
	require.Zero(t, s.mux.controls)
}
