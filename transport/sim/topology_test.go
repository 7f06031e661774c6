package sim_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

func TestDatagramsTakeTheShortestPath(t *testing.T) {
	t.Parallel()
	n := &star{Network: sim.New(1)}
	left, middle, right := n.Switch("left"), n.Switch("middle"), n.Switch("right")
	n.Link(left, middle, fast)
	n.Link(middle, right, fast)
	direct := n.Link(left, right, fast)
	a := n.add(left, sim.HostConfig{}, fast)
	in := newSink(n.add(right, sim.HostConfig{}, fast))
	newSource(t, a, in.port.LocalAddr(), 3, 100)
	began := n.Now()
	n.Run(time.Second)
	require.Equal(t, 3, in.packets)
	require.Equal(t, 3*fast.Delay, in.last-began)
	require.EqualValues(t, 3, direct.Toward(right).Stats().Packets)
	require.Zero(t, direct.Toward(left).Stats().Packets)
}

func TestTwoHostsNeedNoSwitch(t *testing.T) {
	t.Parallel()
	n := sim.New(1)
	a, b, other := n.Host("a", sim.HostConfig{}), n.Host("b", sim.HostConfig{}), n.Host("other", sim.HostConfig{})
	n.Link(a, b, fast)
	in := newSink(b)
	out := newSource(t, a, in.port.LocalAddr(), 5, 10)
	n.Run(time.Second)
	require.Equal(t, 5, in.packets)
	require.Equal(t, 1, send(out.port, dial(t, out.port, addrOf(other, 1)), []byte("x"), nil))
	require.EqualValues(t, 1, out.port.Stats().TxUnresolved)
}

func TestADatagramToNobodyIsCounted(t *testing.T) {
	t.Parallel()
	n := newStar(1, 2, fast)
	p := n.hosts[0].Open(1)
	send(p, dial(t, p, addrOf(n.hosts[1], 9)), []byte("nobody has this port"), nil)
	n.Run(time.Second)
	require.EqualValues(t, 1, n.hosts[1].Unclaimed())
	require.EqualValues(t, 1, p.Stats().TxPackets)
}

func TestAPartitionHeals(t *testing.T) {
	t.Parallel()
	n := newStar(1, 2, fast)
	in := newSink(n.hosts[1])
	p := n.hosts[0].Open(1)
	route := dial(t, p, in.port.LocalAddr())
	say := func(words string) {
		send(p, route, []byte(words), nil)
		n.Run(time.Millisecond)
	}
	say("before")
	n.links[1].Partition()
	say("during")
	n.links[1].Heal()
	say("after")
	require.Equal(t, []string{"before", "after"}, text(in.got))
	require.EqualValues(t, 1, n.down(1).Stats().Cut)
}

func TestOneDirectionMayBeCut(t *testing.T) {
	t.Parallel()
	n := newStar(1, 2, fast)
	in := newEcho(n.hosts[1])
	back := newSink(n.hosts[0])
	n.down(0).Down(true)
	send(back.port, dial(t, back.port, in.port.LocalAddr()), []byte("hello"), nil)
	n.Run(time.Millisecond)
	require.Len(t, in.got, 1)
	require.Empty(t, back.got)
}

func TestAPathMayTakeLessThanTheFirstLink(t *testing.T) {
	t.Parallel()
	jumbo := fast
	jumbo.MTU = 9000
	n := newStar(1, 2, jumbo)
	in := newSink(n.hosts[1])
	p := n.hosts[0].Open(1)
	route := dial(t, p, in.port.LocalAddr())
	require.Equal(t, 8972, p.Caps().MaxPayload)
	try := func(size int) int {
		send(p, route, make([]byte, size), nil)
		n.Run(time.Millisecond)
		return in.packets
	}
	require.Equal(t, 1, try(8972))
	n.down(1).SetMTU(1500)
	require.Equal(t, 1, try(1473))
	require.Equal(t, 2, try(1472))
	require.EqualValues(t, 1, n.down(1).Stats().TooLarge)
	send(p, route, make([]byte, 8972), []byte("more"))
	require.EqualValues(t, 1, p.Stats().TxTooLarge)
}

func TestARuleOfTheTestDecides(t *testing.T) {
	t.Parallel()
	n := newStar(1, 2, fast)
	in := newSink(n.hosts[1])
	p := n.hosts[0].Open(1)
	n.down(1).Intercept(func(p *sim.Packet) sim.Verdict {
		switch string(p.Data) {
		case "drop":
			return sim.Verdict{Drop: true}
		case "late":
			return sim.Verdict{Delay: time.Millisecond}
		case "change":
			copy(p.Data, "CHA")
			p.Data = p.Data[:3]
			p.ECN = transport.CE
		}
		return sim.Verdict{}
	})
	for _, words := range []string{"late", "drop", "change", "pass"} {
		send(p, dial(t, p, in.port.LocalAddr()), []byte(words), nil)
	}
	began := n.Now()
	n.Run(time.Second)
	require.Equal(t, []string{"CHA", "pass", "late"}, text(in.got))
	require.Equal(t, transport.CE, in.got[0].ecn)
	require.Equal(t, time.Millisecond+2*fast.Delay, in.last-began)
	require.EqualValues(t, 1, n.down(1).Stats().Intercepted)
}

func TestImpossibleArrangementsAreRefused(t *testing.T) {
	t.Parallel()
	n := newStar(1, 2, fast)
	loose := n.Host("loose", sim.HostConfig{})
	require.Panics(t, func() { loose.Open(1) }, "no link")
	require.Panics(t, func() { n.Link(n.hosts[0], loose, fast) }, "a second link")
	require.Panics(t, func() { n.Link(loose, loose, fast) }, "a link to itself")
	require.Panics(t, func() { n.Link(loose, sim.New(1).Switch("far"), fast) }, "another network")
	require.Panics(t, func() { n.Link(loose, n.Switch("s"), sim.LinkConfig{MTU: 20}) })
	require.Panics(t, func() { n.links[0].Toward(n.hosts[1]) })
	n.hosts[0].Open(5)
	require.Panics(t, func() { n.hosts[0].Open(5) }, "taken")
	require.Panics(t, func() { n.Host("odd", sim.HostConfig{RecvBuffer: -1}) })
}
