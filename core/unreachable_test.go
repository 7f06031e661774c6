package core

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
)

func TestADeadPortIsKnownWithinARoundTrip(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	n.unreachable = true
	server, client := n.echoServer(Config{}), n.add(Config{})
	server.host.Kill()
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	var notReady error
	s.Ready(func(err error) { notReady = err })
	began := n.Now()
	patient := Call{Method: echo, WaitForReady: true}
	done := n.submit(s, &patient)
	refused := n.fails(s, &Call{Method: echo})
	require.Equal(t, Unavailable, refused.Code)
	require.ErrorIs(t, refused, syscall.ECONNREFUSED)
	require.False(t, refused.MayHaveExecuted)
	require.ErrorIs(t, notReady, syscall.ECONNREFUSED)
	require.LessOrEqual(t, n.Now()-began, 2*n.delay+time.Microsecond)

	n.run(time.Second)
	require.Zero(t, *done)
	server.start(Config{}, server.host.Open(1))
	server.Handle(echo, func(r *Request) { r.Reply(nil) })
	n.run(packet.MaxBackoff * 3 / 2)
	require.Equal(t, 1, *done)
	require.NoError(t, patient.Err)
}

func TestAConnectionIsGivenUpWhenItsHostProvesThatNobodyListens(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	n.unreachable = true
	server, _ := n.slowServer(Config{})
	client := n.add(Config{})
	s := n.connect(client, server)
	n.run(10 * time.Millisecond)
	running := Call{Method: never}
	hung := n.submit(s, &running)
	n.run(10 * time.Millisecond)
	server.host.Kill()
	began := n.Now()
	err := n.fails(s, &Call{Method: echo})
	require.Equal(t, Unavailable, err.Code)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.True(t, err.MayHaveExecuted)
	require.Equal(t, 1, *hung, "it was lost with the rest")
	require.LessOrEqual(t, n.Now()-began, 2*n.delay+time.Microsecond)
	began = n.Now()
	err = n.fails(s, &Call{Method: echo})
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.False(t, err.MayHaveExecuted)
	require.LessOrEqual(t, n.Now()-began, 2*n.delay+time.Microsecond)
}
