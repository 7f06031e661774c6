package core

import (
	"testing"

	"github.com/stretchr/testify/require"
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
