package packet_test

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
	w := newWorld(t, 1)
	queues := w.addQueues(3)
	out := w.add().dial(queues[0].addr)
	w.until(func() bool { return out.ups == 1 })
	var in *blobs
	misrouted, peers := uint64(0), 0
	for _, s := range queues {
		if len(s.accepted) > 0 {
			in = s.accepted[0]
		}
	}
	w.deliver(out, in, 16, 500, 100)
	w.deliver(in, out, 4, 20, 20_000)
	for _, s := range queues {
		st := s.Stats()
		misrouted += st.RxMisrouted
		peers += st.Peers
		require.Zero(t, st.RxUnknown)
		require.Zero(t, st.ResetsSent)
	}
	require.NotZero(t, misrouted)
	require.Equal(t, 1, peers)
}

func TestWordOfADeadPortFindsTheQueueThatSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.host.Unreachable = true
	server := w.add()
	var all []*blobs
	for _, s := range w.addQueues(4) {
		out, _ := w.connect(s, server)
		all = append(all, out)
	}
	server.host.Kill()
	for i, out := range all {
		began := w.Now()
		out.send(nil)
		w.until(func() bool { return out.downs == 1 })
		require.ErrorIs(t, out.failures[0].Cause, syscall.ECONNREFUSED, "queue %d: amid a connection", i)
		w.until(func() bool { return len(out.failures) == 2 })
		require.ErrorIs(t, out.failures[1].Cause, syscall.ECONNREFUSED, "queue %d: amid a handshake", i)
		require.LessOrEqual(t, w.Now()-began, 4*oneWay+2*time.Microsecond)
	}
}

func TestAPacketOfAQueueThatDoesNotExistIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	queues := w.addQueues(2)
	data := make([]byte, 64)
	(&wire.Header{Type: wire.Data, Connection: 9 << 24, Token: 1}).Put(data)
	queues[0].port.Deliver(stranger, data, transport.NotECT)
	w.run(time.Millisecond)
	require.EqualValues(t, 1, queues[0].Stats().RxUnknown)
	require.Zero(t, queues[1].Stats().RxUnknown)
}

// A Reset names no connection of ours, and may arrive at any queue.
func TestAResetFindsTheQueueWhoseConnectionItEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server := w.add()
	var all []*blobs
	for _, s := range w.addQueues(4) {
		out, _ := w.connect(s, server)
		all = append(all, out)
	}
	server.restart()
	for i, out := range all {
		began := w.Now()
		out.send(blobOf(0, 100))
		w.until(func() bool { return out.downs == 1 })
		require.Contains(t, out.failures[0].Reason, "has restarted", "queue %d", i)
		require.LessOrEqual(t, w.Now()-began, 2*oneWay+time.Microsecond)
	}
}
