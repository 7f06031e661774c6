package relay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestCallsPassBothWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, Config{MaxFlows: 4})
	server, client := w.engine("server"), w.engine("client")
	r := w.relay(server.port.LocalAddr())
	s := client.session(r)
	for _, size := range []int{0, 32, 1400, 100_000, 8 << 20} {
		require.NoError(t, client.echo(s, size))
	}
	stats := r.Stats()
	require.EqualValues(t, 1, stats.FlowsOpen)
	require.Equal(t, stats.ToServer+stats.ToClients, stats.Copied)
	require.Zero(t, stats.WithoutCopy)
	require.Zero(t, client.Stats().Retransmits, "nothing is lost on the way")
	require.Zero(t, stats.Foreign+stats.Strangers+stats.NoFlow+stats.Overflow)
}

func TestTheServerTellsClientsApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, Config{MaxFlows: 8})
	server := w.raw("server")
	clients := []raw{w.raw("a"), w.raw("b"), w.raw("c")}
	r := w.relay(server.LocalAddr())
	for i, c := range clients {
		hello := datagram(wire.Hello, wire.Version)
		hello[100] = byte(i)
		c.send(r.Addr(), hello)
		w.settle()
		from, got := server.take()
		require.Equal(t, hello, got)
		for _, other := range clients[:i] {
			require.NotEqual(t, other.LocalAddr(), from)
		}
		reply := datagram(wire.Accept, wire.Version)
		reply[100] = byte(i)
		server.send(from, reply)
		w.settle()
		_, got = c.take()
		require.Equal(t, reply, got, "the answer finds its way back")
	}
	require.EqualValues(t, 3, r.Stats().FlowsOpen)
}

func TestCongestionMarksPassBothWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, Config{MaxFlows: 2})
	server, client := w.raw("server"), w.raw("client")
	r := w.relay(server.LocalAddr())
	for _, mark := range []transport.ECN{transport.NotECT, transport.ECT1, transport.ECT0, transport.CE} {
		client.mark(r.Addr(), datagram(wire.Data, wire.Version), mark)
		w.settle()
		from, _, got := server.takeMarked()
		require.Equal(t, mark, got)
		server.mark(from, datagram(wire.Data, wire.Version), mark)
		w.settle()
		_, _, got = client.takeMarked()
		require.Equal(t, mark, got)
	}
}

func TestAnIdleFlowIsForgottenAndACallOpensAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, Config{MaxFlows: 4, Idle: 100 * time.Millisecond}) // the client would ping after 750 ms
	server, client := w.engine("server"), w.engine("client")
	r := w.relay(server.port.LocalAddr())
	s := client.session(r)
	require.NoError(t, client.echo(s, 32))
	require.NoError(t, w.Until(time.Second, func() bool { return r.Stats().FlowsOpen == 0 }))
	require.NoError(t, client.echo(s, 32), "the server follows the connection to its new port")
	stats := r.Stats()
	require.EqualValues(t, 2, stats.FlowsOpened)
	require.EqualValues(t, 1, stats.FlowsOpen)
	require.Zero(t, client.Stats().PeersFailed)
}

func TestAFlowInUseStaysAsLongAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5, Config{MaxFlows: 4, Idle: 2 * time.Second})
	server, client := w.engine("server"), w.engine("client")
	r := w.relay(server.port.LocalAddr())
	s := client.session(r)
	require.NoError(t, client.echo(s, 32))
	w.Run(time.Minute) // the engine's probes are what passes
	require.NoError(t, client.echo(s, 32))
	require.EqualValues(t, 1, r.Stats().FlowsOpened)
}

func TestALostServerIsFoundAgainWhenItIsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6, Config{MaxFlows: 4})
	server, client := w.engine("server"), w.engine("client")
	r := w.relay(server.port.LocalAddr())
	s := client.session(r)
	require.NoError(t, client.echo(s, 32))
	server.host.Kill()
	err := client.echo(s, 32)
	require.ErrorContains(t, err, core.Unavailable.String())
	server.start()
	require.NoError(t, client.echo(client.session(r), 32))
	require.EqualValues(t, 1, r.Stats().FlowsOpened, "it is the same client")
}

func TestALossyWayIsNoOtherThanWithoutRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 7, Config{MaxFlows: 4})
	w.cable.Faults = sim.Faults{Loss: 0.02, Duplicate: 0.02}
	server, client := w.engine("server"), w.engine("client")
	r := w.relay(server.port.LocalAddr())
	s := client.session(r)
	for range 50 {
		require.NoError(t, client.echo(s, 5000))
	}
}

func TestClientsBeyondTheLimitAreRefusedAndOthersUnharmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8, Config{MaxFlows: 2})
	server := w.engine("server")
	first, second, third := w.engine("first"), w.engine("second"), w.engine("third")
	r := w.relay(server.port.LocalAddr())
	s1, s2 := first.session(r), second.session(r)
	require.NoError(t, first.echo(s1, 32))
	require.NoError(t, second.echo(s2, 32))
	require.Error(t, third.echo(third.session(r), 32))
	require.NoError(t, first.echo(s1, 32))
	require.NoError(t, second.echo(s2, 32))
	stats := r.Stats()
	require.EqualValues(t, 2, stats.FlowsOpen)
	require.Positive(t, stats.FlowsRefused)
	require.Equal(t, stats.FlowsRefused, stats.NoFlow)
}

func TestForgedClientsAreInNobodysWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 9, Config{MaxFlows: 4})
	server, client := w.engine("server"), w.engine("client")
	r := w.relay(server.port.LocalAddr())
	s := client.session(r)
	require.NoError(t, client.echo(s, 32))
	w.free = append(w.free, func() (more []*sim.Port) {
		h := w.add("more")
		for i := range 100 {
			more = append(more, h.Open(uint16(1+i)))
		}
		return more
	}()...)
	inside := r.inside.tr.(*sim.Port)
	for i := range 100 {
		inside.Deliver(numbered(i).from, datagram(wire.Data, wire.Version), transport.NotECT)
		w.settle()
	}
	require.NoError(t, client.echo(s, 32))
	stats := r.Stats()
	require.LessOrEqual(t, stats.FlowsOpen, uint64(4))
	require.EqualValues(t, 101, stats.FlowsOpened)
	require.Zero(t, stats.FlowsRefused, "flows that are not connected made room")
}

func TestAFlowWithoutAWayOutIsRefusedAndTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10, Config{MaxFlows: 2})
	server, first, second := w.engine("server"), w.raw("first"), w.engine("second")
	r := w.relay(server.port.LocalAddr())
	first.send(r.Addr(), datagram(wire.Data, wire.Version))
	w.settle()
	kept := w.free
	w.free = nil
	s := second.session(r)
	w.Run(200 * time.Millisecond)
	stats := r.Stats()
	require.Positive(t, stats.FlowsRefused)
	require.Contains(t, stats.Refusal, "there is no port left")
	w.free = kept
	require.NoError(t, second.echo(s, 32))
}

func TestWhatIsTooLargeForTheOtherSideIsDroppedAndTheEndsFindOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 11, Config{MaxFlows: 4})
	w.cable.MTU = 9000
	w.exit = func(p *sim.Port) transport.Transport { return narrow{p, 1472} }
	server, client := w.engine("server"), w.engine("client")
	r := w.relay(server.port.LocalAddr())
	s := client.session(r)
	require.NoError(t, client.echo(s, 1<<20))
	w.Run(10 * time.Millisecond)
	require.Positive(t, r.Stats().TooLarge)
	require.LessOrEqual(t, s.MTU(), 1472)
	require.Greater(t, s.MTU(), 1400)
}

func TestStrangersAndGarbageAreDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12, Config{MaxFlows: 4})
	server, client, stranger := w.raw("server"), w.raw("client"), w.raw("stranger")
	r := w.relay(server.LocalAddr())
	client.send(r.Addr(), datagram(wire.Hello, wire.Version))
	w.settle()
	exit, _ := server.take()
	stranger.send(exit, datagram(wire.Data, wire.Version))
	server.send(exit, datagram(wire.Hello, wire.Version))
	client.send(r.Addr(), datagram(wire.Accept, wire.Version))
	stranger.send(r.Addr(), []byte("hello?"))
	w.settle()
	_, got := client.take()
	require.Nil(t, got)
	_, got = server.take()
	require.Nil(t, got)
	stats := r.Stats()
	require.EqualValues(t, 1, stats.Strangers)
	require.EqualValues(t, 3, stats.Foreign)
	require.EqualValues(t, 1, stats.FlowsOpen, "garbage opens no flow")
}

func TestASideThatTakesNothingCostsItsDatagramsAndNoMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 13, Config{MaxFlows: 4})
	server, client := w.raw("server"), w.raw("client")
	r := w.relay(server.LocalAddr())
	client.send(r.Addr(), datagram(wire.Hello, wire.Version))
	w.settle()
	exit := w.taken[0]
	exit.Full(true)
	for range 3000 {
		client.send(r.Addr(), datagram(wire.Data, wire.Version))
		w.Run(10 * time.Microsecond)
	}
	require.Positive(t, r.Stats().Overflow)
	exit.Full(false)
	client.send(r.Addr(), datagram(wire.Data, wire.Version))
	w.settle()
	arrived := 0
	for _, got := server.take(); got != nil; _, got = server.take() {
		arrived++
	}
	stats := r.Stats()
	require.EqualValues(t, 3002, stats.ToServer+stats.Overflow)
	require.EqualValues(t, stats.ToServer, arrived)
}

func TestATransportThatFailsEndsTheRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 14, Config{MaxFlows: 4})
	server := w.raw("server")
	r := w.relay(server.LocalAddr())
	r.inside.tr.(*sim.Port).Fail(transport.ErrClosed)
	_, err := r.Poll(w.Now())
	require.ErrorIs(t, err, transport.ErrClosed)
}
