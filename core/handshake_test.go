package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestCallsMayBeSubmittedBeforeTheConnectionStands(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{Slots: 2}), n.add(Config{})
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	var calls [5]Call
	done := 0
	for i := range calls {
		calls[i] = Call{Method: echo, Request: []byte{byte(i)}, Buf: make([]byte, 1), Done: func(*Call) { done++ }}
		s.Submit(&calls[i])
	}
	n.until(func() bool { return done == len(calls) })
	for i := range calls {
		require.NoError(t, calls[i].Err)
		require.Equal(t, []byte{byte(i)}, calls[i].Response)
	}
}

func TestTheNarrowerLimitsAreAgreedOn(t *testing.T) {
	t.Parallel()
	for _, slots := range [][2]int{{3, 5}, {5, 3}} {
		n := newNetwork(t, 1)
		server, client := n.echoServer(Config{Slots: slots[0]}), n.add(Config{Slots: slots[1]})
		n.connect(client, server)
		for _, c := range []*packet.Conn{client.toward(server), server.onlyClient()} {
			require.Equal(t, 3, muxOf(c).slots)
		}
	}
}

func TestAServerThatIsFullRefuses(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.echoServer(Config{Peers: 1})
	first := n.connect(n.add(Config{}), server)
	second, err := n.add(Config{}).Connect(server.addr)
	require.NoError(t, err)
	refused := n.fails(second, &Call{Method: echo})
	require.Equal(t, ResourceExhausted, refused.Code)
	require.False(t, refused.MayHaveExecuted)
	require.ErrorContains(t, refused, "peers")

	first.Close()
	n.run(2 * packet.MaxBackoff)
	n.echoes(second, 10)
}

func TestAnUnansweredHandshakeFailsAllThatWait(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{ConnectTimeout: 300 * time.Millisecond})
	n.partition()
	began := n.Now()
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	var notReady error
	s.Ready(func(err error) { notReady = err })
	var calls [3]Call
	var done [3]*int
	for i := range calls {
		calls[i] = Call{Method: echo}
		done[i] = n.submit(s, &calls[i])
	}
	n.until(func() bool { return *done[0]+*done[1]+*done[2] == 3 })
	require.LessOrEqual(t, n.Now()-began, 300*time.Millisecond)
	require.ErrorIs(t, notReady, &Error{Code: Unavailable})
	for i := range calls {
		require.Equal(t, Unavailable, failure(t, &calls[i]).Code)
		require.False(t, failure(t, &calls[i]).MayHaveExecuted)
	}

	n.run(time.Second)
	sent := n.sent
	n.run(time.Second)
	require.Equal(t, sent, n.sent, "nobody waits, so nobody knocks")
	n.heal()
	n.echoes(s, 10)
}

func TestAClientOfAnotherVersionIsToldSo(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{})
	n.drop = func(from, _ netip.AddrPort, data []byte) bool {
		// What either sends says version 2.
		data[1] = 2<<4 | data[1]&0xF
		wire.Seal(data, nil)
		return false
	}
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	began := n.Now()
	refused := n.fails(s, &Call{Method: echo})
	require.Equal(t, FailedPrecondition, refused.Code)
	require.False(t, refused.MayHaveExecuted)
	require.ErrorContains(t, refused, "version")
	require.LessOrEqual(t, n.Now()-began, 3*n.delay)
	require.EqualValues(t, 1, server.Stats().RxVersion)
}

func TestAPingOfAnUnreachableServerFails(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	client := n.add(Config{ConnectTimeout: time.Second})
	s, err := client.Connect(netip.MustParseAddrPort("10.9.9.9:1"))
	require.NoError(t, err)
	var failed error
	s.Ping(func(_ time.Duration, err error) { failed = err })
	n.until(func() bool { return failed != nil })
	require.ErrorIs(t, failed, &Error{Code: Unavailable})
	require.Zero(t, client.controlling)
}

// Nothing else is under way then, and the path carries none of the MTU's probes.
func TestAPingThatWaitsForTheConnectionIsAnsweredWithoutAnyMessage(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{})
	n.drop = func(_, _ netip.AddrPort, data []byte) bool { return len(data) > wire.MinHello }
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	var trip time.Duration
	s.Ping(func(took time.Duration, err error) {
		require.NoError(t, err)
		trip = took
	})
	n.run(10 * time.Millisecond)
	require.InDelta(t, 2*n.delay, trip, float64(10*time.Microsecond))
}

func TestASparseSessionIndexIsRefused(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{Sessions: 100}), n.add(Config{})
	n.connect(client, server)
	p := muxOf(server.onlyClient())
	before := server.entries
	p.request(wire.NewMessageLead(wire.Request, 99, 1, 0, echo, 1), nil, nil)
	p.request(wire.NewMessageLead(wire.Request, 60000, 1, 0, echo, 1), nil, nil)
	require.LessOrEqual(t, server.entries-before, 100)
	require.LessOrEqual(t, len(p.served), 100)
}
