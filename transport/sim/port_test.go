package sim_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// couple is a port to use by hand and one that listens.
func couple(t *testing.T, link sim.LinkConfig) (n *star, p *sim.Port, route transport.Route, in *sink) {
	n = newStar(1, 2, link)
	in = newSink(n.hosts[1])
	p = n.hosts[0].Open(1)
	return n, p, dial(t, p, in.port.LocalAddr()), in
}

func TestPayloadIsReadWhenItLeaves(t *testing.T) {
	t.Parallel()
	n, p, route, in := couple(t, fast)
	p.Linger(time.Millisecond)
	payload := []byte("first")
	send(p, route, []byte("head "), payload)
	require.Zero(t, p.Completed())
	n.Run(time.Millisecond / 2)
	copy(payload, "later")
	n.Run(time.Millisecond)
	require.EqualValues(t, 1, p.Completed())
	copy(payload, "again")
	n.Run(time.Millisecond)
	require.Equal(t, []string{"head later"}, text(in.got), "reuse before Completed shows")
}

func TestPayloadWaitsForTheLinkToo(t *testing.T) {
	t.Parallel()
	n, p, route, in := couple(t, sim.LinkConfig{Rate: 1e6})
	first, second := []byte("first"), []byte("second")
	send(p, route, nil, first)
	send(p, route, nil, second)
	require.EqualValues(t, 1, p.Completed())
	copy(second, "SECOND")
	n.Run(time.Second)
	require.Equal(t, []string{"first", "SECOND"}, text(in.got))
	require.EqualValues(t, 2, p.Completed())
}

func TestClosingReadsThePayload(t *testing.T) {
	t.Parallel()
	n, p, route, in := couple(t, fast)
	p.Linger(time.Millisecond)
	payload := []byte("hello")
	send(p, route, nil, payload)
	require.NoError(t, p.Close())
	copy(payload, "XXXXX")
	n.Run(time.Second)
	require.Equal(t, []string{"hello"}, text(in.got))
}

func TestCompletionsMayBeWithheld(t *testing.T) {
	t.Parallel()
	_, p, route, _ := couple(t, fast)
	p.Withhold(2)
	for want := range []uint64{0, 0, 1, 2} {
		require.EqualValues(t, max(0, want-2), p.Completed())
		send(p, route, []byte("x"), nil)
	}
	p.Withhold(0)
	require.EqualValues(t, 4, p.Completed())
}

func TestAStuckPortTakesNothing(t *testing.T) {
	t.Parallel()
	n := newStar(1, 2, fast)
	in := newSink(n.hosts[1])
	out := newSource(t, n.hosts[0], in.port.LocalAddr(), 10, 10)
	out.port.Stuck(true)
	n.Run(time.Second)
	require.Zero(t, in.packets)
	out.port.Stuck(false)
	n.Run(time.Second)
	require.Equal(t, 10, in.packets)
}

func TestAFullPortLendsAndTakesNothing(t *testing.T) {
	t.Parallel()
	n, p, route, in := couple(t, fast)
	p.Full(true)
	pkts := []transport.TxPacket{{Route: route}}
	require.Equal(t, 1, p.Reserve(pkts))
	sent, err := p.Send(pkts)
	require.NoError(t, err)
	require.Zero(t, sent)
	p.Full(false)
	sent, err = p.Send(pkts)
	require.NoError(t, err)
	require.Equal(t, 1, sent)
	n.Run(time.Second)
	require.Len(t, in.got, 1)
}

func TestAPortTellsHowLongADatagramWaited(t *testing.T) {
	t.Parallel()
	n, p, _, _ := couple(t, fast)
	busy := n.hosts[1].Open(2)
	require.True(t, busy.Caps().RxTimestamps)
	route := dial(t, p, busy.LocalAddr())
	send(p, route, []byte("early"), nil)
	n.Run(time.Millisecond)
	busy.Deliver(p.LocalAddr(), []byte("late"), transport.NotECT)
	n.Run(time.Millisecond)
	got := make([]transport.RxPacket, 2)
	arrived, err := busy.Recv(got)
	require.NoError(t, err)
	require.Equal(t, 2, arrived)
	require.Less(t, got[0].Waited, 2*time.Millisecond)
	require.Greater(t, got[0].Waited, time.Millisecond)
	require.Equal(t, time.Millisecond, got[1].Waited)
}

func TestAPortMayFail(t *testing.T) {
	t.Parallel()
	n := newStar(1, 1, fast)
	in := newSink(n.hosts[0])
	broken := errors.New("the card is on fire")
	n.Run(0)
	in.port.Fail(broken)
	n.Run(0)
	require.ErrorIs(t, n.hosts[0].Err(), broken)
}

func TestADatagramCanComeFromNowhere(t *testing.T) {
	t.Parallel()
	n := newStar(1, 1, fast)
	in := newSink(n.hosts[0])
	from := netip.MustParseAddrPort("192.0.2.1:9")
	in.port.Deliver(from, []byte("hostile"), transport.CE)
	n.Run(0)
	require.Equal(t, []arrival{{n.Now(), from, "hostile", transport.CE}}, in.got)
}

func TestWhatIsReleasedIsOverwritten(t *testing.T) {
	t.Parallel()
	n := newStar(1, 1, fast)
	p := n.hosts[0].Open(1)
	p.Deliver(p.LocalAddr(), []byte("abc"), transport.NotECT)
	var rx [2]transport.RxPacket
	got, err := p.Recv(rx[:])
	require.NoError(t, err)
	require.Equal(t, 1, got)
	view := rx[0].Data
	require.Equal(t, "abc", string(view))
	p.Release(rx[:1])
	require.Equal(t, "\xdd\xdd\xdd", string(view))
	require.NoError(t, n.hosts[0].Err())
	p.Release(rx[:1])
	require.ErrorContains(t, n.hosts[0].Err(), "not held")
}

func TestWhatIsHeldStaysWhole(t *testing.T) {
	t.Parallel()
	n := newStar(1, 2, fast)
	p, out := n.hosts[0].Open(1), n.hosts[1].Open(1)
	route := dial(t, out, p.LocalAddr())
	var held []transport.RxPacket
	for i := range 100 {
		send(out, route, []byte(strings.Repeat(string(rune('a'+i%26)), 20)), nil)
		n.Run(time.Millisecond)
		var rx [1]transport.RxPacket
		got, err := p.Recv(rx[:])
		require.NoError(t, err)
		require.Equal(t, 1, got)
		if i%2 == 0 {
			held = append(held, rx[0])
		} else {
			p.Release(rx[:])
		}
	}
	for i, rx := range held {
		require.Equal(t, strings.Repeat(string(rune('a'+2*i%26)), 20), string(rx.Data))
	}
}

func TestAFullReceiveBufferDrops(t *testing.T) {
	t.Parallel()
	n := newStar(1, 0, fast)
	h := n.add(n.Switch("s"), sim.HostConfig{RecvBuffer: 1000}, fast)
	p := h.Open(1)
	for range 15 {
		p.Deliver(p.LocalAddr(), make([]byte, 100), transport.NotECT)
	}
	require.EqualValues(t, 5, p.Stats().RxOverflow)
	require.Equal(t, 1000, p.Caps().RecvBuffer)
	var rx [64]transport.RxPacket
	got, err := p.Recv(rx[:])
	require.NoError(t, err)
	require.Equal(t, 10, got)
}

func TestAFullCardTakesFewer(t *testing.T) {
	t.Parallel()
	s := &star{Network: sim.New(1)}
	h := s.add(s.Switch("s"), sim.HostConfig{SendQueue: 4}, sim.LinkConfig{Rate: 1e6})
	p := h.Open(1)
	route := dial(t, p, addrOf(h, 2))
	var tx [8]transport.TxPacket
	require.Equal(t, 4, p.Reserve(tx[:]))
	for i := range tx[:4] {
		tx[i].Route, tx[i].Head = route, tx[i].Head[:10]
	}
	n, err := p.Send(tx[:4])
	require.NoError(t, err)
	require.Equal(t, 4, n)
	require.Nil(t, tx[3].Head)
	require.Equal(t, 4, p.Reserve(tx[:]))
	for i := range tx[:4] {
		tx[i].Route, tx[i].Head = route, tx[i].Head[:10]
	}
	n, err = p.Send(tx[:4])
	require.NoError(t, err)
	require.Equal(t, 1, n, "one is on the wire")
	require.NotNil(t, tx[1].Head, "what was not taken is unchanged")
}

func TestQueuesShareAnAddress(t *testing.T) {
	t.Parallel()
	for _, steer := range []sim.Steering{sim.ByFlow, sim.AtRandom} {
		n := newStar(1, 9, fast)
		queues := n.hosts[0].OpenQueues(1, 4, steer)
		for _, h := range n.hosts[1:] {
			newSource(t, h, queues[0].LocalAddr(), 50, 10)
		}
		n.Run(time.Second)
		total, used, whole := uint64(0), 0, 0
		for i, p := range queues {
			require.Equal(t, i, p.Caps().Queue)
			require.Equal(t, 4, p.Caps().Queues)
			var rx [512]transport.RxPacket
			got, err := p.Recv(rx[:])
			require.NoError(t, err)
			total += uint64(got)
			if got > 0 {
				used++
			}
			if got%50 == 0 {
				whole++
			}
		}
		require.EqualValues(t, 8*50, total)
		require.Greater(t, used, 1)
		require.Equal(t, steer == sim.ByFlow, whole == 4, "a flow stays together, or does not")
	}
}

func TestCountersAddUp(t *testing.T) {
	t.Parallel()
	n, p, route, in := couple(t, fast)
	for i := range 10 {
		send(p, route, make([]byte, i), make([]byte, i))
	}
	nowhere, err := p.Resolve(netip.MustParseAddrPort("10.99.0.1:1"), netip.Addr{})
	require.NoError(t, err)
	send(p, nowhere, []byte("x"), nil)
	n.Run(time.Second)
	tx, rx := p.Stats(), in.port.Stats()
	require.EqualValues(t, 10, tx.TxPackets)
	require.EqualValues(t, 90, tx.TxBytes)
	require.EqualValues(t, 11, tx.TxCalls)
	require.EqualValues(t, 1, tx.TxUnresolved)
	require.Equal(t, tx.TxPackets, rx.RxPackets)
	require.Equal(t, tx.TxBytes, rx.RxBytes)
	require.EqualValues(t, 11, p.Completed())
}

func TestRoutesAreUsedAgain(t *testing.T) {
	t.Parallel()
	n, p, route, in := couple(t, fast)
	p.Linger(time.Millisecond)
	send(p, route, []byte("still goes out"), nil)
	p.Forget(route)
	require.Equal(t, route, dial(t, p, netip.MustParseAddrPort("10.99.0.1:1")))
	n.Run(time.Second)
	require.Len(t, in.got, 1)
	for _, bad := range []string{"[::1]:5", "10.0.0.1:0"} {
		_, err := p.Resolve(netip.MustParseAddrPort(bad), netip.Addr{})
		require.ErrorContains(t, err, "no destination")
	}
}

func TestAForeignHeadIsRefused(t *testing.T) {
	t.Parallel()
	_, p, route, _ := couple(t, fast)
	got, err := p.Send([]transport.TxPacket{{Route: route, Head: []byte("mine")}, {Route: 99, Head: nil}})
	require.NoError(t, err)
	require.Equal(t, 2, got)
	require.EqualValues(t, 2, p.Stats().TxRefused)
}
