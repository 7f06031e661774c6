package sim_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport/sim"
)

var rack = sim.LinkConfig{Rate: 25e9, Delay: time.Microsecond, QueueBytes: 4 << 20, MarkBytes: 100 << 10}

// pods is hosts at leaf switches under one spine. Each host has a sink, and a
// source that sends to a host of the next leaf.
func pods(tb testing.TB, leaves, each, packets int) (n *star, sinks []*sink) {
	n = &star{Network: sim.New(1)}
	spine := n.Switch("spine")
	for range leaves {
		leaf := n.Switch("leaf")
		n.Link(leaf, spine, sim.LinkConfig{Rate: 2e12, Delay: time.Microsecond})
		for range each {
			n.add(leaf, sim.HostConfig{SendQueue: 64}, rack)
		}
	}
	for i, h := range n.hosts {
		in := &sink{port: h.Open(2)}
		h.Run(in, in.port)
		sinks = append(sinks, in)
		newSource(tb, h, addrOf(n.hosts[(i+each)%len(n.hosts)], 2), packets, 1000)
	}
	return n, sinks
}

func TestAThousandHosts(t *testing.T) {
	t.Parallel()
	n, sinks := pods(t, 20, 50, 20)
	require.Len(t, n.Hosts(), 1000)
	n.Run(time.Second)
	for _, in := range sinks {
		require.Equal(t, 20, in.packets)
	}
}

func TestAPacketNeedsNoMemoryOfItsOwn(t *testing.T) {
	n := newStar(1, 3, sim.LinkConfig{Rate: 10e9, QueueBytes: 100_000})
	in := newEcho(n.hosts[0])
	in.keep = false
	var sources []*source
	for _, h := range n.hosts[1:] {
		sources = append(sources, newSource(t, h, in.port.LocalAddr(), 3000, 1000))
	}
	n.Run(time.Second)
	for _, s := range sources {
		drain(s.port)
	}
	perRun := testing.AllocsPerRun(5, func() {
		for _, s := range sources {
			s.left = 1000
		}
		n.hosts[1].Kick()
		n.hosts[2].Kick()
		n.Run(time.Second)
		for _, s := range sources {
			drain(s.port)
		}
	})
	require.LessOrEqual(t, perRun, 1.0, "of 2000 packets")
}

// drain releases what arrived at a port that nobody reads.
func drain(p *sim.Port) {
	var s sink
	s.port = p
	for {
		if more, _ := s.Poll(0); !more {
			return
		}
	}
}

// BenchmarkForwarding sends raw packets from host to host through a switch.
func BenchmarkForwarding(b *testing.B) {
	n := newStar(1, 2, rack)
	in := newSink(n.hosts[1])
	in.keep = false
	out := newSource(b, n.hosts[0], in.port.LocalAddr(), 10_000, 100)
	n.Run(time.Second)
	in.packets = 0
	out.left = b.N
	b.ReportAllocs()
	b.ResetTimer()
	n.hosts[0].Kick()
	if err := n.Until(time.Hour, func() bool { return in.packets == b.N }); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
}

// BenchmarkThousandHosts sends raw packets from every host to another, over
// three switches.
func BenchmarkThousandHosts(b *testing.B) {
	const hosts, each = 1000, 1000
	var total time.Duration
	for b.Loop() {
		n, sinks := pods(b, 20, hosts/20, each)
		runtime.GC()
		began := time.Now()
		n.Run(time.Second)
		total += time.Since(began)
		for _, in := range sinks {
			require.Equal(b, each, in.packets)
		}
	}
	b.ReportMetric(float64(hosts*each)*float64(b.N)/total.Seconds(), "packets/s")
}
