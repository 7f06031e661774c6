package cc_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// factory makes the named algorithm's with the defaults, as set changes them.
func factory(t *testing.T, name string, set ...func(cfg any)) cc.Factory {
	t.Helper()
	a, err := cc.Lookup(name)
	require.NoError(t, err)
	cfg := a.Config()
	for _, f := range set {
		f(cfg)
	}
	f, err := a.New(cfg)
	require.NoError(t, err)
	return f
}

// fabric tells a controller the base RTT of the network of these tests.
func fabric(cfg any) {
	switch c := cfg.(type) {
	case *cc.SwiftConfig:
		c.BaseRTT = 10 * time.Microsecond
	case *cc.TimelyConfig:
		c.BaseRTT = 10 * time.Microsecond
	}
}

// some is all of the cases, or the first in a short run: they follow from their
// seeds, and the race detector finds nothing in the others that it does not there.
func some[T any](cases ...T) []T {
	if testing.Short() {
		return cases[:1]
	}
	return cases
}

func newFabric(t *testing.T, datagram int) *neck {
	return newNeck(t, shape{gigabits: 25, trip: 8 * time.Microsecond, datagram: datagram, buffer: 4 << 20, mark: 150_000})
}

func TestIncastQueuesLittle(t *testing.T) {
	t.Parallel()
	measured := 40 * time.Millisecond
	if testing.Short() {
		measured /= 4
	}
	run := func(name string, datagram, flows int, settle time.Duration) (queue time.Duration, goodput float64) {
		b := newFabric(t, datagram)
		for range flows {
			b.join(factory(t, name, fabric))
		}
		for _, f := range b.flows {
			f.begin()
		}
		b.Run(settle)
		queue, shares := b.measure(measured)
		return queue, total(shares)
	}
	without, _ := run("none", 8972, 100, 2*time.Millisecond)
	type incast struct {
		name            string
		datagram, flows int
		settle          time.Duration
		part            time.Duration // of the queue without control, at most
	}
	for _, c := range some(
		incast{"swift", 1472, 100, 10 * time.Millisecond, 5},
		incast{"swift", 8972, 100, 40 * time.Millisecond, 3},  // a datagram of each is 290 µs
		incast{"swift", 1472, 1000, 30 * time.Millisecond, 2}, // and here 490 µs
		incast{"dctcp", 1472, 100, 10 * time.Millisecond, 5},
	) {
		queue, goodput := run(c.name, c.datagram, c.flows, c.settle)
		require.LessOrEqual(t, queue, without/c.part, "%+v", c)
		require.GreaterOrEqual(t, goodput, 0.95, "%+v", c)
	}
}

func TestFlowsThatComeAndGoShareEqually(t *testing.T) {
	t.Parallel()
	for _, flows := range some(2, 5, 10, 50) {
		b := newFabric(t, 1472)
		for range flows {
			b.join(factory(t, "swift", fabric))
		}
		for _, f := range b.flows {
			f.begin()
			b.Run(300 * time.Microsecond)
		}
		b.Run(10 * time.Millisecond)
		_, goodput := b.measure(10 * time.Millisecond)
		require.GreaterOrEqual(t, jain(goodput), 0.95, "%d came", flows)
		for _, s := range b.flows[:flows/2] {
			s.active = false
		}
		b.Run(10 * time.Millisecond)
		_, goodput = b.measure(10 * time.Millisecond)
		left := goodput[flows/2:]
		require.GreaterOrEqual(t, jain(left), 0.95, "%d of them left", flows/2)
		require.GreaterOrEqual(t, total(left), 0.95, "%d of them left", flows/2)
	}
}

func TestALoneFlowHasAllOfTheLink(t *testing.T) {
	t.Parallel()
	for _, name := range cc.Names() {
		for _, datagram := range []int{1472, 8972} {
			b := newFabric(t, datagram)
			b.add(factory(t, name))
			b.Run(2 * time.Millisecond)
			_, goodput := b.measure(10 * time.Millisecond)
			require.GreaterOrEqual(t, goodput[0], 0.95, "%s, datagrams of %d bytes", name, datagram)
		}
	}
}

func TestALongerRouteIsLearned(t *testing.T) {
	t.Parallel()
	for _, name := range some("swift", "timely") {
		b := newFabric(t, 1472)
		b.add(factory(t, name))
		b.Run(5 * time.Millisecond)
		b.late = func(time.Duration) time.Duration { return 500 * time.Microsecond }
		b.Run(200 * time.Millisecond)
		_, goodput := b.measure(20 * time.Millisecond)
		require.GreaterOrEqual(t, goodput[0], 0.9, name)
	}
}

func TestAfterSilenceAFlowIsSoonBack(t *testing.T) {
	t.Parallel()
	for _, name := range some("swift", "timely", "dctcp") {
		b := newFabric(t, 1472)
		s := b.add(factory(t, name))
		b.Run(5 * time.Millisecond)
		b.pipe.SetFaults(sim.Faults{Loss: 1})
		b.Run(10 * time.Millisecond)
		require.LessOrEqual(t, s.controller.Window(), cc.DefaultWindow/16, name)
		b.pipe.SetFaults(sim.Faults{})
		b.Run(40 * time.Millisecond) // the sender's own backoff
		_, goodput := b.measure(10 * time.Millisecond)
		require.GreaterOrEqual(t, goodput[0], 0.95, name)
	}
}

// What acknowledgements on their way back have yet to tell of is in flight, too, and no
// queue: a window is cut by the part of a round trip that is too long.
func TestSwiftCutsByTheWholeRoundTrip(t *testing.T) {
	t.Parallel()
	const base, queue = 20 * time.Microsecond, 300 * time.Microsecond
	kept := func(back time.Duration) float64 {
		c := factory(t, "swift")(cc.Path{Datagram: segment})
		now := time.Second
		turn := func(rtt time.Duration) {
			window := c.Window()
			c.Sent(now, window, window)
			began := now
			now += rtt + back
			c.Acked(cc.Ack{Now: now, Packets: 1, Bytes: window, RTT: rtt, Trip: rtt + back, Sent: began})
		}
		for range 3 {
			turn(base)
		}
		was := c.Window()
		for c.Window() == was {
			turn(base + queue)
		}
		return float64(c.Window()) / float64(was)
	}
	require.LessOrEqual(t, kept(0), 0.5)
	require.InDelta(t, 1-(queue-70*time.Microsecond).Seconds()/(base+queue+time.Millisecond).Seconds(), kept(time.Millisecond), 0.15)
}
