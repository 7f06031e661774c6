package sim_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// bottleneck is two senders and a receiver at one switch, each link of which
// has the same rate.
func bottleneck(t *testing.T, link sim.LinkConfig, each, size int) (n *star, in *sink) {
	n = newStar(1, 3, link)
	in = newSink(n.hosts[2])
	for _, h := range n.hosts[:2] {
		newSource(t, h, in.port.LocalAddr(), each, size)
	}
	return n, in
}

func TestABottleneckTakesItsTimeToTheNanosecond(t *testing.T) {
	t.Parallel()
	const each, size, rate = 5000, 1000, 25_000_000_000
	n, in := bottleneck(t, sim.LinkConfig{Rate: rate, Delay: 2 * time.Microsecond}, each, size)
	began := n.Now()
	n.Run(time.Second)
	// The first is stored and forwarded once; from then on the bottleneck is
	// never idle. Bits that are no whole nanoseconds add up, and are not lost.
	bits := uint64(size+sim.WireOverhead) * 8
	first := time.Duration(bits * 1e9 / rate)
	all := time.Duration(2 * each * bits * 1e9 / rate)
	require.Equal(t, 2*each, in.packets)
	require.Equal(t, first+all+4*time.Microsecond, in.last-began)
	st := n.down(2).Stats()
	require.EqualValues(t, 2*each, st.Packets)
	require.EqualValues(t, 2*each*size, st.Bytes)
	require.Zero(t, st.Queued)
	// Two came for each that went.
	require.InDelta(t, each*(size+sim.WireOverhead), st.MaxQueued, 2*(size+sim.WireOverhead))
}

func TestAFullQueueDropsTheRest(t *testing.T) {
	t.Parallel()
	const limit = 20 * (1000 + sim.WireOverhead)
	n, in := bottleneck(t, sim.LinkConfig{Rate: 1e9, QueueBytes: limit}, 500, 1000)
	n.Run(time.Second)
	st := n.down(2).Stats()
	require.EqualValues(t, 1000, int(st.Overflows)+in.packets)
	require.InDelta(t, 500, in.packets, 25, "half the load fits the rate")
	require.LessOrEqual(t, st.MaxQueued, limit)
	require.Zero(t, n.links[0].Toward(n.hosts[0]).Stats().Overflows)
}

func TestADatagramLongerThanTheQueueGoesIfTheOutputIsIdle(t *testing.T) {
	t.Parallel()
	n := newStar(1, 2, sim.LinkConfig{Rate: 1e9, QueueBytes: 100})
	in := newSink(n.hosts[1])
	newSource(t, n.hosts[0], in.port.LocalAddr(), 10, 1000)
	n.Run(time.Second)
	require.Equal(t, 10, in.packets)
}

func TestALongQueueMarksWhatUnderstandsIt(t *testing.T) {
	t.Parallel()
	for _, ecn := range []transport.ECN{transport.ECT0, transport.NotECT} {
		const threshold = 30 * (1000 + sim.WireOverhead)
		link := sim.LinkConfig{Rate: 1e9, MarkBytes: threshold}
		n := newStar(1, 3, link)
		in := newSink(n.hosts[2])
		for _, h := range n.hosts[:2] {
			newSource(t, h, in.port.LocalAddr(), 100, 1000).ecn = ecn
		}
		long, marked := 0, 0
		n.down(2).Observe(func(wait time.Duration, bytes int) {
			require.Equal(t, 1000, bytes)
			if wait > threshold*8 { // at a bit per nanosecond
				long++
			}
		})
		n.Run(time.Second)
		for _, a := range in.got {
			if a.ecn == transport.CE {
				marked++
			}
		}
		require.Positive(t, long)
		require.EqualValues(t, n.down(2).Stats().Marked, marked)
		if ecn == transport.ECT0 {
			require.Equal(t, long, marked)
		} else {
			require.Zero(t, marked)
		}
	}
}

func TestAHostsOwnQueueHoldsTheSenderBack(t *testing.T) {
	t.Parallel()
	n := sim.New(1)
	tor := n.Switch("tor")
	s := &star{Network: n}
	slow := s.add(tor, sim.HostConfig{SendQueue: 8}, sim.LinkConfig{Rate: 1e8, QueueBytes: 1})
	in := newSink(s.add(tor, sim.HostConfig{}, fast))
	out := newSource(t, slow, in.port.LocalAddr(), 200, 1000)
	require.True(t, n.Step())
	require.Less(t, out.sent, 64)
	require.NoError(t, n.Until(time.Second, func() bool { return in.packets == 200 }), "it is woken when there is room")
	require.Equal(t, 0, out.left)
	require.EqualValues(t, 200, out.port.Completed())
}

func TestPortsOfAHostShareItsLink(t *testing.T) {
	t.Parallel()
	n := newStar(1, 2, sim.LinkConfig{Rate: 1e9})
	in := newSink(n.hosts[1])
	a, b := n.hosts[0].Open(7), n.hosts[0].Open(8)
	for range 10 {
		require.Equal(t, 1, send(a, dial(t, a, in.port.LocalAddr()), []byte("a"), nil))
	}
	for range 10 {
		require.Equal(t, 1, send(b, dial(t, b, in.port.LocalAddr()), []byte("b"), nil))
	}
	n.Run(time.Second)
	require.Equal(t, []string{"a", "b", "a", "b", "a"}, text(in.got)[:5], "they take turns")
	require.Len(t, in.got, 20)
}

func TestAPipesRateChangesForWhatComes(t *testing.T) {
	t.Parallel()
	n := sim.New(1)
	a, b := n.Host("a", sim.HostConfig{}), n.Host("b", sim.HostConfig{})
	link := n.Link(a, b, sim.LinkConfig{Rate: 8e6})
	from, to := a.Open(1), b.Open(1)
	route, err := from.Resolve(to.LocalAddr(), from.LocalAddr().Addr())
	require.NoError(t, err)
	var pkts [1]transport.RxPacket
	takes := func() time.Duration {
		began := n.Now()
		var tx [1]transport.TxPacket
		require.Equal(t, 1, from.Reserve(tx[:]))
		tx[0].Head, tx[0].Route = tx[0].Head[:1000-sim.WireOverhead], route
		sent, err := from.Send(tx[:])
		require.NoError(t, err)
		require.Equal(t, 1, sent)
		for {
			got, err := to.Recv(pkts[:])
			require.NoError(t, err)
			if got == 1 {
				to.Release(pkts[:])
				return n.Now() - began
			}
			require.True(t, n.Step())
		}
	}
	require.Equal(t, time.Millisecond, takes())
	link.Toward(b).SetRate(80e6)
	require.Equal(t, 100*time.Microsecond, takes())
}
