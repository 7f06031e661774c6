package core

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
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
		n.until(func() bool { return d.controlling == 0 }) // but for a keepalive
		for p := range d.packets.Conns() {
			{
				require.Zero(n.t, p.Inside().InFlight)
				require.Zero(n.t, p.Inside().Bytes)
				require.LessOrEqual(n.t, p.Inside().Rings, p.Inside().LeastRings, "an idle peer's rings are given back")
				require.LessOrEqual(n.t, len(muxOf(p).manifest.entries), minEntries, "an idle peer's rings are given back")
			}
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

func TestReorderingIsLearntAndTolerated(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 12)
	server, client, s := pair(n, Config{NoCoalesce: true})
	n.faults(sim.Faults{Jitter: 60 * time.Microsecond})
	n.stream(s, 64, 2000, 32) // learns
	before := client.Stats()
	n.stream(s, 64, 5000, 32)
	after := client.Stats()
	require.Less(t, after.Retransmits-before.Retransmits, uint64(50), "of 5000 requests")
	require.EqualValues(t, 7000, server.Stats().RequestsHandled)
	n.settled(server, client)
}

func TestLostAcknowledgementsAreMadeUpFor(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 16)
	server, client, s := pair(n, Config{})
	n.drop = func(_, _ netip.AddrPort, data []byte) bool {
		return typeOf(data) == wire.Ack && n.Rand().Float64() < 0.7
	}
	n.stream(s, 4, 50, 50_000)
	n.stream(s, 16, 500, 32)
	require.EqualValues(t, 550, server.Stats().RequestsHandled)
	n.heal()
	n.settled(server, client)
}

func TestALostTailCostsAboutOneProbeTimeout(t *testing.T) {
	t.Parallel()
	for _, kind := range []wire.Kind{wire.Request, wire.Response} {
		n := newNetwork(t, 17)
		server, client, s := pair(n, Config{})
		n.stream(s, 1, 100, 32) // knows the round trip
		n.run(10 * time.Millisecond)
		lost := false
		n.drop = func(_, _ netip.AddrPort, data []byte) bool {
			drop := !lost && holds(data, kind)
			lost = lost || drop
			return drop
		}
		began := n.Now()
		timeout := client.toward(server).Inside().ProbeTimeout
		if kind == wire.Response {
			timeout = server.onlyClient().Inside().ProbeTimeout
		}
		n.echoes(s, 32)
		require.True(t, lost)
		require.LessOrEqual(t, n.Now()-began, timeout+6*n.delay, "%v lost", kind)
		require.LessOrEqual(t, timeout, 3*time.Millisecond)
	}
}

func TestAGapIsRepairedWithoutATimeout(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 18)
	server, client, s := pair(n, Config{})
	n.run(10 * time.Millisecond)
	fragments := 0
	n.drop = func(_, to netip.AddrPort, data []byte) bool {
		if to != server.addr || !holds(data, wire.Request) {
			return false
		}
		fragments++
		return fragments == 5 || fragments == 20
	}
	n.echoes(s, 100_000)
	require.EqualValues(t, 2, client.Stats().Retransmits, "selective: what was lost and no more")
	require.Zero(t, client.Stats().ProbeTimeouts)
}

func TestLargeTransfersNeedFewAcknowledgements(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 19)
	server, client, s := pair(n, Config{})
	n.run(10 * time.Millisecond)
	n.call(s, &Call{Method: echo, Request: pattern(8<<20, 1)})
	require.Greater(t, client.Stats().TxData, uint64(5000))
	require.Less(t, float64(server.Stats().TxControl), 0.06*float64(client.Stats().TxData))
	require.Less(t, float64(client.Stats().TxControl), 0.06*float64(server.Stats().TxData))
}

func TestTheMTUIsProbedUpToWhatTheLinkCarries(t *testing.T) {
	t.Parallel()
	for _, mtu := range []int{1472, 4096, 8972} {
		n := newNetwork(t, 20)
		n.mtu = mtu
		server, client, s := pair(n, Config{})
		n.run(10 * time.Millisecond)
		require.Equal(t, mtu, s.MTU())
		require.Equal(t, mtu, server.onlyClient().MTU())
		n.settled(server, client)
	}
}

func TestAPathNarrowerThanBothLinksIsFoundOut(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 21)
	n.mtu = 8972
	n.drop = func(_, _ netip.AddrPort, data []byte) bool { return len(data) > 1472 }
	server, client, s := pair(n, Config{})
	n.echoes(s, 100_000)
	n.run(100 * time.Millisecond)
	require.Equal(t, 1472, s.MTU())
	n.echoes(s, 100_000)
	require.Zero(t, client.Stats().MTUReductions)
	n.settled(server, client)
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

func TestAStuckTransportDelaysAndLosesNothing(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 28)
	server, client, s := pair(n, Config{})
	client.port.Stuck(true)
	c := Call{Method: echo, Request: pattern(50_000, 1)}
	done := n.submit(s, &c)
	n.run(300 * time.Millisecond)
	require.Zero(t, *done)
	client.port.Stuck(false)
	n.until(func() bool { return *done == 1 })
	require.NoError(t, c.Err)
	n.settled(server, client)
}

// recorder is a controller that adds up what it is told.
type recorder struct {
	cc.Controller
	acked, marked, lost, timeouts, spurious int
	losses                                  []cc.Loss
}

func (r *recorder) Acked(a cc.Ack) {
	r.acked += a.Packets
	r.marked += a.CE
}

func (r *recorder) Lost(l cc.Loss) {
	r.lost += l.Bytes
	r.losses = append(r.losses, l)
}
func (r *recorder) Spurious(_ time.Duration, bytes int) { r.spurious += bytes }
func (r *recorder) TimedOut(time.Duration)              { r.timeouts++ }

// recorded is a server, and a client that tells a recorder.
func recorded(n *network, told *recorder) (server, client *node, s *Session) {
	server = n.echoServer(Config{})
	client = n.add(Config{Controller: func(p cc.Path) cc.Controller {
		told.Controller = cc.None(cc.DefaultWindow)(p)
		return told
	}})
	return server, client, n.connect(client, server)
}

func TestTheControllerIsToldWhatWasLostAndWhenItHadLeft(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 18)
	var told recorder
	server, client, s := recorded(n, &told)
	n.run(10 * time.Millisecond)
	began, fragments := n.Now(), 0
	n.drop = func(_, to netip.AddrPort, data []byte) bool {
		if to != server.addr || !holds(data, wire.Request) {
			return false
		}
		fragments++
		return fragments == 5 || fragments == 20
	}
	n.echoes(s, 100_000)
	require.InDelta(t, 2*client.toward(server).MTU(), told.lost, 32, "two fragments")
	require.Zero(t, told.spurious)
	for _, l := range told.losses {
		require.GreaterOrEqual(t, l.Sent, began)
		require.Less(t, l.Sent, l.Now)
		require.Positive(t, l.InFlight)
	}
}

func TestTheControllerIsToldThatWhatCountedAsLostWasLate(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 18)
	var told recorder
	_, client, s := recorded(n, &told)
	n.run(10 * time.Millisecond)
	n.faults(sim.Faults{Jitter: 30 * time.Microsecond})
	n.stream(s, 4, 50, 100_000)
	require.Positive(t, told.spurious)
	require.LessOrEqual(t, told.spurious, told.lost+told.timeouts*client.toward(n.nodes[0]).MTU())
}

func TestTheControllerIsToldHowManyPacketsWereMarked(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 29)
	var told recorder
	server := n.echoServer(Config{})
	client := n.add(Config{Controller: func(p cc.Path) cc.Controller {
		told.Controller = cc.None(cc.DefaultWindow)(p)
		return &told
	}})
	s := n.connect(client, server)
	marked := 0
	n.marks = func() transport.ECN {
		if n.Rand().Float64() < 0.3 {
			marked++
			return transport.CE
		}
		return transport.ECT0
	}
	n.faults(sim.Faults{Loss: 0.05, Jitter: 500 * time.Microsecond}) // acknowledgements overtake each other, too
	n.stream(s, 64, 2000, 3000)
	require.Positive(t, told.marked)
	require.LessOrEqual(t, told.marked, marked)
}

func TestALostProbeOfTheMTUIsNoCongestion(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 30)
	n.mtu = 8972
	n.drop = func(_, _ netip.AddrPort, data []byte) bool { return len(data) > 1472 }
	var told recorder
	server := n.echoServer(Config{})
	client := n.add(Config{Controller: func(p cc.Path) cc.Controller {
		told.Controller = cc.None(cc.DefaultWindow)(p)
		return &told
	}})
	s := n.connect(client, server)
	n.stream(s, 8, 200, 32)
	n.run(2 * time.Second)
	require.Zero(t, told.lost)
	require.Zero(t, told.timeouts)
}

func TestALongPathIsProbedToo(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 31)
	n.delay = 60 * time.Millisecond
	server, client, s := pair(n, Config{})
	n.run(time.Second)
	require.Equal(t, 1472, s.MTU())
	n.stream(s, 8, 100, 5000)
	require.EqualValues(t, 100, server.Stats().RequestsHandled)
	require.Less(t, client.Stats().Retransmits, uint64(20))
	n.settled(server, client)
}

func TestAnOutageDoesNotShrinkTheMTU(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 32)
	_, client, s := pair(n, Config{})
	n.run(10 * time.Millisecond)
	require.Equal(t, 1472, s.MTU())
	n.partition()
	c := Call{Method: echo, Request: pattern(3000, 1)}
	done := n.submit(s, &c)
	n.run(500 * time.Millisecond)
	require.Zero(t, client.Stats().MTUReductions, "silence says nothing of the size")
	n.heal()
	n.until(func() bool { return *done == 1 })
	require.NoError(t, c.Err)
	n.run(5 * time.Second)
	require.Equal(t, 1472, s.MTU())
}

func TestLostAcknowledgementsAreNotTakenForAPause(t *testing.T) {
	t.Parallel()
	for seed := range seeds(10) {
		n := newNetwork(t, seed)
		server, client, s := pair(n, Config{})
		n.run(10 * time.Millisecond)
		n.faults(sim.Faults{Loss: 0.1})
		for range 300 {
			n.echoes(s, 100)
		}
		require.NotZero(t, client.Stats().SpuriousRetransmits)
		require.LessOrEqual(t, client.toward(server).Inside().Pause, 5*time.Millisecond)
	}
}
