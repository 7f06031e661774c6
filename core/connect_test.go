package core

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// states notes what a session goes through.
func states(s *Session) *[]ConnState {
	seen := new([]ConnState)
	s.Notify(func(state ConnState, _ error) { *seen = append(*seen, state) })
	return seen
}

func TestACallFailsAtOnceWhileTheServerIsKnownToBeAway(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{ConnectTimeout: 100 * time.Millisecond})
	n.partition()
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	seen := states(s)
	first := n.fails(s, &Call{Method: echo})
	require.Equal(t, Unavailable, first.Code)
	require.Equal(t, TransientFailure, s.State())
	began := n.Now()
	err2 := n.fails(s, &Call{Method: echo})
	require.Equal(t, Unavailable, err2.Code)
	require.ErrorContains(t, err2, "no answer")
	require.False(t, err2.MayHaveExecuted)
	require.LessOrEqual(t, n.Now()-began, time.Microsecond)

	// There is somebody who calls, so attempts go on.
	n.run(80 * time.Millisecond)
	require.Equal(t, packet.Connecting, client.toward(server).State())
	require.Equal(t, TransientFailure, s.State(), "until one succeeds")
	n.fails(s, &Call{Method: echo})
	n.heal()
	n.run(100 * time.Millisecond)
	require.Equal(t, Ready, s.State())
	n.echoes(s, 10)
	require.Equal(t, []ConnState{TransientFailure, Ready}, *seen)
	s.Close()
	require.Equal(t, Shutdown, s.State())
	require.Equal(t, []ConnState{TransientFailure, Ready, Shutdown}, *seen)
}

func TestACallThatWaitsForReadyOutlivesFailedAttempts(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{ConnectTimeout: 100 * time.Millisecond})
	n.partition()
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	patient := Call{Method: echo, WaitForReady: true}
	late := Call{Method: echo, WaitForReady: true, Timeout: 3 * time.Second}
	hasty := Call{Method: echo}
	patiently, lately, hastily := n.submit(s, &patient), n.submit(s, &late), n.submit(s, &hasty)
	n.run(150 * time.Millisecond)
	require.Equal(t, 1, *hastily)
	n.run(5 * time.Second)
	require.Equal(t, 1, *lately)
	require.Equal(t, DeadlineExceeded, failure(t, &late).Code)
	require.ErrorContains(t, late.Err, "not connected: no answer from")
	require.Zero(t, *patiently)
	n.heal()
	n.run(packet.MaxBackoff * 3 / 2)
	require.Equal(t, 1, *patiently)
	require.NoError(t, patient.Err)
}

func TestAnIdleSessionDoesNotHammerAndItsNextCallKnocksAgain(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{ConnectTimeout: 100 * time.Millisecond})
	n.partition()
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	n.run(time.Second)
	require.Equal(t, Idle, s.State())
	sent := n.sent
	n.run(time.Minute)
	require.Equal(t, sent, n.sent)
	n.heal()
	n.echoes(s, 10)
}

func TestWhoJoinsAnAttemptHasAClockOfHisOwn(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{ConnectTimeout: time.Second})
	n.partition()
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	n.run(900 * time.Millisecond)
	var joined []error
	s.Ready(func(err error) { joined = append(joined, err) })
	n.run(900 * time.Millisecond)
	require.Empty(t, joined, "the first attempt's end is not its own")
	n.run(200 * time.Millisecond)
	require.Len(t, joined, 1)
	require.ErrorIs(t, joined[0], &Error{Code: Unavailable})

	s.Ready(func(err error) { joined = append(joined, err) })
	n.run(500 * time.Millisecond)
	n.heal()
	n.run(time.Second)
	require.Len(t, joined, 2)
	require.NoError(t, joined[1])
}

func TestAServerThatClosesInOrderIsKnockedAtOnceMore(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{})
	s := n.connect(client, server)
	var why []error
	s.Notify(func(_ ConnState, err error) { why = append(why, err) })
	require.NoError(t, server.Close())
	n.run(time.Millisecond)
	require.Equal(t, Idle, s.State())
	require.ErrorContains(t, why[0], "closed the connection: server is shutting down")

	server.start(Config{}, server.host.Open(1))
	server.Handle(echo, func(r *Request) { r.Reply(r.Data) })
	n.echoes(s, 10)

	server.Drain()
	n.partition()
	n.run(10 * time.Second)
	n.heal()
	began := n.Now()
	err := n.fails(s, &Call{Method: echo})
	require.Equal(t, Unavailable, err.Code)
	require.ErrorContains(t, err, "refused the connection: server is shutting down")
	require.Less(t, n.Now()-began, time.Millisecond)
}

func TestErrorsSayWhatACallWaitedFor(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, _ := n.slowServer(Config{Slots: 2})
	client := n.add(Config{})
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	n.partition()
	c := Call{Method: echo, Timeout: 10 * time.Millisecond}
	require.ErrorContains(t, n.fails(s, &c), "not connected: no answer from 10.0.0.1:1 so far")
	n.heal()
	n.run(time.Second)
	c = Call{Method: never, Timeout: 10 * time.Millisecond}
	require.ErrorContains(t, n.fails(s, &c), "no response in time")
	long := []Call{{Method: never}, {Method: never}}
	for i := range long {
		n.submit(s, &long[i])
	}
	c = Call{Method: echo, Timeout: 10 * time.Millisecond}
	err = n.fails(s, &c)
	require.ErrorIs(t, err, &Error{Code: DeadlineExceeded})
	require.ErrorContains(t, err, "waited for a slot: all 2 of the session are in use (slots)")
}

func TestOddTimeouts(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, _, s := pair(n, Config{})
	handled := server.Stats().RequestsHandled
	began := n.Now()
	err := n.fails(s, &Call{Method: echo, Timeout: -1})
	require.Equal(t, DeadlineExceeded, err.Code)
	require.False(t, err.MayHaveExecuted)
	require.Less(t, n.Now()-began, n.delay)
	require.Equal(t, handled, server.Stats().RequestsHandled, "it was never sent")
	c := Call{Method: echo, Request: []byte("x"), Timeout: math.MaxInt64}
	n.call(s, &c)
	require.NoError(t, c.Err)
	require.False(t, c.deadline.IsSet())
}

func TestWhoOnlyDialsRefusesStrangers(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{ClientOnly: true})
	n.echoes(n.connect(client, server), 100)
	stranger, err := n.add(Config{}).Connect(client.addr)
	require.NoError(t, err)
	refused := n.fails(stranger, &Call{Method: echo})
	require.Equal(t, Unavailable, refused.Code)
	require.ErrorContains(t, refused, "only dials")
	require.Empty(t, client.accepted())
	require.EqualValues(t, 1, client.Stats().HellosRefused, "at once, without a cookie")
}

// numbered is a port that says which of the host's addresses is meant.
type numbered struct {
	*sim.Port
	at netip.Addr
}

func (p *numbered) Recv(pkts []transport.RxPacket) (int, error) {
	n, err := p.Port.Recv(pkts)
	for i := range pkts[:n] {
		pkts[i].To = p.at
	}
	return n, err
}

func TestASessionKnowsItsAddresses(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	require.Equal(t, server.addr, s.Peer())
	require.Equal(t, client.addr, s.LocalAddr())

	at := netip.MustParseAddr("10.7.7.7")
	n.over = func(p *sim.Port) transport.Transport { return &numbered{p, at} }
	other := n.connect(n.add(Config{}), server)
	require.Equal(t, netip.AddrPortFrom(at, 1), other.LocalAddr())
}
