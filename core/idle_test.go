package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

// brief is a keep_alive by which a session is idle after ten seconds.
var brief = Config{KeepAlive: 100 * time.Millisecond}

func TestAnIdleSessionEndsAndItsNextCallOpensItAgain(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, _, s := pair(n, brief)
	n.echoes(s, 10)
	n.run(9 * time.Second)
	require.Equal(t, 1, server.Stats().Sessions)
	n.echoes(s, 10)
	n.run(9 * time.Second)
	require.Equal(t, 1, server.Stats().Sessions, "it was used in between")
	n.run(3 * time.Second)
	require.Zero(t, server.Stats().Sessions)
	require.EqualValues(t, 1, server.Stats().SessionsExpelled)
	n.echoes(s, 10_000)
	require.Equal(t, 1, server.Stats().Sessions)
	require.Equal(t, Ready, s.State())
}

func TestASessionInWhichAnythingIsUnderWayIsNotIdle(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(brief)
	served := server.listens(talking, false)
	client := n.add(brief)
	calling, streaming := n.connect(client, server), n.connect(client, server)
	call := Call{Method: later}
	done := n.submit(calling, &call)
	stream := talk(streaming, Stream{Method: talking})
	n.run(30 * time.Second)
	require.Equal(t, 2, server.Stats().Sessions)

	(*deferred)[0].Reply(nil)
	stream.says(t, "still here")
	n.run(time.Second)
	require.Equal(t, 1, *done)
	require.NoError(t, call.Err)
	require.Equal(t, []string{"still here"}, (*served)[0].got)
	(*served)[0].End(OK, "", nil)
	n.run(5 * time.Second)
	require.Equal(t, 2, server.Stats().Sessions, "both were in use until a while ago")
	n.run(10 * time.Second)
	require.Zero(t, server.Stats().Sessions)
}

// The server's word that the session is over is lost for a while.
func TestACallThatMeetsTheEndOfItsIdleSessionFailsAndTheNextOneDoesNot(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, brief)
	n.echoes(s, 10)
	n.drop = func(from, _ netip.AddrPort, data []byte) bool {
		return from == server.addr && holds(data, wire.CloseSession)
	}
	n.until(func() bool { return server.Stats().Sessions == 0 })
	call := Call{Method: echo}
	done := n.submit(s, &call)
	stream := talk(s, Stream{Method: talking})
	n.run(10 * time.Millisecond)
	require.Zero(t, *done)
	n.heal()
	n.run(50 * time.Millisecond)
	require.Equal(t, 1, *done)
	err := failure(t, &call)
	require.Equal(t, Unavailable, err.Code)
	require.True(t, err.MayHaveExecuted, "it was sent")
	require.Equal(t, Unavailable, stream.code())
	n.echoes(s, 10)
	require.Equal(t, 1, server.Stats().Sessions)
	n.settled(server, client)
}

// The word is damaged: it is acknowledged, and says nothing.
func TestAClientThatWasNotToldThatItsSessionIsOverIsToldWhenItCalls(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, _, s := pair(n, brief)
	n.echoes(s, 10)
	n.drop = func(from, _ netip.AddrPort, data []byte) bool {
		if from == server.addr && holds(data, wire.CloseSession) {
			var h wire.Header
			rest, _ := h.Parse(data)
			rest[0] = byte(wire.Ping)
		}
		return false
	}
	n.run(12 * time.Second)
	require.Zero(t, server.Stats().Sessions)
	require.EqualValues(t, 1, s.generation)
	n.heal()
	require.Equal(t, Unavailable, n.fails(s, &Call{Method: echo}).Code)
	n.echoes(s, 10)
}

func TestTheClientWithTheMostSessionsMakesRoom(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	cfg := Config{Sessions: 100}
	server := n.echoServer(cfg)
	greedy := n.add(Config{})
	var many []*Session
	for range 80 {
		s := n.connect(greedy, server)
		n.echoes(s, 10)
		many = append(many, s)
	}
	n.run(5 * time.Second)
	for range 5 {
		other := n.add(Config{})
		for range 10 {
			n.echoes(n.connect(other, server), 10)
		}
	}
	expelled := int(server.Stats().SessionsExpelled)
	require.Equal(t, 80-expelled+50, server.Stats().Sessions)
	require.GreaterOrEqual(t, server.Stats().Sessions, 98, "no more room was made than was needed")
	ok := 0
	for _, s := range many {
		call := Call{Method: echo}
		n.call(s, &call)
		if call.Err == nil {
			ok++
			continue
		}
		require.Equal(t, ResourceExhausted, failure(t, &call).Code, "its session is over, and there is no room for another one")
	}
	require.Equal(t, 80-expelled, ok)
}

func TestSessionsInUseDoNotMakeRoom(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{Sessions: 20})
	greedy, other := n.add(Config{}), n.add(Config{})
	calls := make([]Call, 20)
	for i := range calls {
		calls[i] = Call{Method: later}
		n.submit(n.connect(greedy, server), &calls[i])
	}
	n.run(5 * time.Second)
	held := len(*deferred)
	first := n.connect(other, server)
	n.echoes(first, 10)
	n.echoes(n.connect(other, server), 10)
	require.Equal(t, 20, server.Stats().Sessions)
	require.Equal(t, ResourceExhausted, n.fails(n.connect(other, server), &Call{Method: echo}).Code)
	require.Zero(t, server.Stats().SessionsExpelled)
	for _, r := range (*deferred)[:held] {
		r.Reply(nil)
	}
	n.run(4 * time.Second)
	n.echoes(n.connect(other, server), 10)
	require.EqualValues(t, 1, server.Stats().SessionsExpelled)
}

// It acknowledges nothing, so that the server cannot know whether it has heard.
func TestWhatAClientIsToldOfItsIdleSessionsIsBounded(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.add(Config{})
	x := n.byHand(server)
	server.Handle(echo, func(r *Request) { r.Reply(nil) })
	h := x.hand(1)
	for i := range uint16(1000) {
		h.send(wire.MessageHeader{Kind: wire.Cancel, Session: i, Generation: 1, Sequence: 1}, nil)
	}
	require.Equal(t, 1000, server.Stats().Sessions)
	for range 700 {
		n.run(time.Second)
		h.ping()
	}
	require.LessOrEqual(t, muxOf(h.conn).controls, maxRefusals)
	require.NotZero(t, server.Stats().SessionsExpelled)
	for i := range uint16(1000) {
		h.send(wire.MessageHeader{Kind: wire.Request, Session: i, Generation: 1, Method: echo, Sequence: 2}, nil)
	}
	require.LessOrEqual(t, muxOf(h.conn).controls, maxRefusals)
}

func TestTheEndOfASessionWaitsForRoomAmongControls(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	second, third := n.connect(client, server), n.connect(client, server)
	for _, s := range []*Session{s, second, third} {
		n.echoes(s, 10)
	}
	n.partition()
	m := second.mux
	for m.controls < maxControls {
		m.Ping(0)
	}
	second.Close()
	third.Close()
	require.Equal(t, maxControls, m.controls)
	again := n.connect(client, server) // on the index of one that the server believes to be open
	again.Close()
	n.heal()
	n.run(2 * time.Second)
	require.Equal(t, 1, server.Stats().Sessions)
	require.Empty(t, m.unclosed)
	n.echoes(s, 10)
	n.settled(server, client)
}
