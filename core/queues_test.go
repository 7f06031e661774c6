package core

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestPacketsFindTheQueueTheyBelongTo(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	queues := n.addQueues(Config{Seed: [32]byte{7}}, 3)
	client := n.add(Config{})
	for _, d := range queues {
		d.Handle(echo, func(r *Request) { r.Reply(r.Data) })
	}
	s := n.connect(client, queues[0])
	n.stream(s, 16, 500, 100)
	n.stream(s, 4, 20, 20_000)
	handled, misrouted, peers := uint64(0), uint64(0), 0
	for _, d := range queues {
		st := d.Stats()
		handled += st.RequestsHandled
		misrouted += st.RxMisrouted
		peers += st.Peers
		require.Zero(t, st.RxUnknown)
		require.Zero(t, st.ResetsSent)
	}
	require.EqualValues(t, 520, handled)
	require.NotZero(t, misrouted)
	require.Equal(t, 1, peers)
}

func TestWordOfADeadPortFindsTheQueueThatSent(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	n.unreachable = true
	server := n.echoServer(Config{})
	queues := n.addQueues(Config{Seed: [32]byte{7}}, 4)
	var sessions []*Session
	for _, q := range queues {
		sessions = append(sessions, n.connect(q, server))
	}
	n.run(10 * time.Millisecond)
	server.host.Kill()
	for i, s := range sessions {
		began := n.Now()
		err := n.fails(s, &Call{Method: echo})
		require.ErrorIs(t, err, syscall.ECONNREFUSED, "queue %d: amid a connection", i)
		require.LessOrEqual(t, n.Now()-began, 2*n.delay+time.Microsecond)
		began = n.Now()
		err = n.fails(s, &Call{Method: echo})
		require.ErrorIs(t, err, syscall.ECONNREFUSED, "queue %d: amid a handshake", i)
		require.LessOrEqual(t, n.Now()-began, 2*n.delay+time.Microsecond)
	}
}

func TestAPacketOfAQueueThatDoesNotExistIsDropped(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	queues := n.addQueues(Config{}, 2)
	data := make([]byte, 64)
	(&wire.Header{Type: wire.Data, Connection: 9 << 24, Token: 1}).Put(data)
	queues[0].port.Deliver(clientAddr, data, transport.NotECT)
	n.run(time.Millisecond)
	require.EqualValues(t, 1, queues[0].Stats().RxUnknown)
	require.Zero(t, queues[1].Stats().RxUnknown)
}
