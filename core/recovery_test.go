package core

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// stream keeps window echo calls of size bytes in flight until count are done,
// and checks every reply.
func (n *network) stream(s *Session, window, count, size int) {
	n.t.Helper()
	started, done := 0, 0
	submit := func(c *Call) {
		started++
		copy(c.Request, pattern(size, byte(started)))
		s.Submit(c)
	}
	for range min(window, count) {
		c := &Call{Method: echo, Request: make([]byte, size), Buf: make([]byte, 0, size)}
		c.Done = func(c *Call) {
			require.NoError(n.t, c.Err)
			require.True(n.t, string(c.Request) == string(c.Response), "the reply differs from the request")
			if done++; started < count {
				submit(c)
			}
		}
		submit(c)
	}
	n.until(func() bool { return done == count })
}

// settled checks that nothing is left over once all calls are done.
func (n *network) settled(nodes ...*node) {
	n.t.Helper()
	n.run(3 * time.Second)
	for _, d := range nodes {
		st := d.Stats()
		require.Zero(n.t, st.RequestsHeld)
		require.Zero(n.t, st.ReassemblyBytes)
		require.Zero(n.t, st.Streams)
		n.until(func() bool { return d.controlling == 0 }) // but for a keepalive
		for c := range d.packets.Conns() {
			queue := &muxOf(c).queue
			require.Equal(n.t, queue.sent, c.Settled(), "something is in flight")
			require.LessOrEqual(n.t, len(queue.entries), minEntries, "an idle connection's ring is given back")
		}
	}
}

func TestLossIsRepaired(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0.01, 0.1, 0.3} {
		for _, size := range []int{32, 5000} {
			t.Run(fmt.Sprintf("loss=%v/size=%d", loss, size), func(t *testing.T) {
				t.Parallel()
				n := newNetwork(t, 11)
				server, client, s := pair(n, Config{})
				n.faults(sim.Faults{Loss: loss})
				n.stream(s, 64, 2000, size)
				require.EqualValues(t, 2000, server.Stats().RequestsHandled)
				require.NotZero(t, client.Stats().Retransmits)
				n.heal()
				n.settled(server, client)
			})
		}
	}
}

func TestSmallMessagesQueuedBeforeThePathShrankStillGoOut(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 23)
	n.mtu = 8972
	server, _, s := pair(n, Config{})
	n.run(10 * time.Millisecond)
	n.drop = func(_, _ netip.AddrPort, data []byte) bool { return len(data) > 1300 }
	n.stream(s, 8, 20, 8900) // each was one packet
	require.EqualValues(t, 20, server.Stats().RequestsHandled)
}
