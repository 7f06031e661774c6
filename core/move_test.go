package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestASessionMovesToAnotherAddressOfItsServer(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	old, other := n.echoServer(Config{Slots: 1}), n.echoServer(Config{})
	old.Handle(7, func(r *Request) { r.Defer() }) // and never answers
	client := n.add(Config{})
	s := n.connect(client, old)
	seen := states(s)
	held, waits := Call{Method: 7}, Call{Method: echo, Request: []byte("along"), Buf: make([]byte, 0, 8)}
	heldDone, waitsDone := n.submit(s, &held), n.submit(s, &waits)
	n.run(time.Millisecond)
	require.Zero(t, *heldDone+*waitsDone)

	require.NoError(t, s.Move(old.addr), "it is there")
	require.NoError(t, s.Move(other.addr))
	require.Equal(t, other.addr, s.Peer())
	n.until(func() bool { return *heldDone == 1 && *waitsDone == 1 })
	err := failure(t, &held)
	require.Equal(t, Unavailable, err.Code)
	require.True(t, err.MayHaveExecuted)
	require.ErrorContains(t, err, "moved")
	require.NoError(t, waits.Err)
	require.Equal(t, "along", string(waits.Response))
	require.Equal(t, []ConnState{Connecting, Ready}, *seen)
	require.Zero(t, old.Stats().Peers, "its client has left in order")
	n.echoes(s, 10)

	s.Close()
	require.Error(t, s.Move(old.addr))
}

func TestWhoWaitsForAConnectionMovesAlong(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	gone, there := n.echoServer(Config{}), n.echoServer(Config{})
	client := n.add(Config{ConnectTimeout: 100 * time.Millisecond})
	n.drop = func(from, to netip.AddrPort, _ []byte) bool { return to == gone.addr }
	s, err := client.Connect(gone.addr)
	require.NoError(t, err)
	patient := Call{Method: echo, WaitForReady: true}
	done := n.submit(s, &patient)
	n.run(time.Second)
	require.Equal(t, TransientFailure, s.State())
	ready := -1
	s.Ready(func(err error) {
		require.NoError(t, err)
		ready = 1
	})
	seen := states(s)
	require.NoError(t, s.Move(there.addr))
	n.until(func() bool { return *done == 1 })
	require.NoError(t, patient.Err)
	require.Equal(t, 1, ready)
	require.Equal(t, []ConnState{Connecting, Ready}, *seen)
}

func TestASessionMovesToWhereAnotherIsConnected(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	old, other := n.echoServer(Config{}), n.echoServer(Config{})
	client := n.add(Config{})
	s, neighbour := n.connect(client, old), n.connect(client, other)
	require.NoError(t, s.Move(other.addr))
	require.Equal(t, Ready, s.State())
	n.echoes(s, 10)
	n.echoes(neighbour, 10)
}

// Who seeks the server elsewhere may know better why there is no connection.
func TestCallsSayWhatTheSessionWasToldOfItsServer(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	gone, there := n.echoServer(Config{}), n.echoServer(Config{})
	client := n.add(Config{ConnectTimeout: 100 * time.Millisecond})
	n.drop = func(from, to netip.AddrPort, _ []byte) bool { return to == gone.addr }
	s, err := client.Connect(gone.addr)
	require.NoError(t, err)
	told := &Error{Code: Unavailable, Message: "its name stands for nothing"}
	s.Explain(told)
	require.Equal(t, told, n.fails(s, &Call{Method: echo}), "once the attempt has failed")
	require.Equal(t, told, n.fails(s, &Call{Method: echo}), "and at once")
	s.Explain(nil)
	require.ErrorContains(t, n.fails(s, &Call{Method: echo}), "no answer from")
	s.Explain(told)
	require.NoError(t, s.Move(there.addr))
	n.call(s, &Call{Method: echo})
	n.drop = func(from, to netip.AddrPort, _ []byte) bool { return true }
	n.fails(s, &Call{Method: echo})
	require.ErrorContains(t, n.fails(s, &Call{Method: echo}), "no answer from", "it has been elsewhere since")
}
