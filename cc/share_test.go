package cc_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
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

func newFabric(datagram int) *bottleneck {
	b := newBottleneck(25, 8*time.Microsecond, datagram)
	b.buffer, b.mark = 4<<20, 150_000
	return b
}

func TestIncastQueuesLittle(t *testing.T) {
	t.Parallel()
	run := func(name string, datagram, flows int, settle time.Duration) (queue time.Duration, goodput float64) {
		b := newFabric(datagram)
		for range flows {
			b.add(factory(t, name, fabric))
		}
		b.run(settle)
		queue, shares := b.measure(40 * time.Millisecond)
		return queue, total(shares) / b.rate
	}
	without, _ := run("none", 8972, 100, 2*time.Millisecond)
	type incast struct {
		name            string
		datagram, flows int
		settle          time.Duration
	}
	for _, c := range some(
		incast{"swift", 1472, 100, 10 * time.Millisecond},
		incast{"swift", 8972, 100, 40 * time.Millisecond},
		incast{"swift", 1472, 1000, 30 * time.Millisecond}, // with less than a datagram in flight each
		incast{"dctcp", 1472, 100, 10 * time.Millisecond},
	) {
		queue, goodput := run(c.name, c.datagram, c.flows, c.settle)
		require.LessOrEqual(t, queue, without/5, "%+v", c)
		require.GreaterOrEqual(t, goodput, 0.95, "%+v", c)
	}
}

func TestFlowsThatComeAndGoShareEqually(t *testing.T) {
	t.Parallel()
	for _, flows := range some(2, 5, 10, 50) {
		b := newFabric(1472)
		for range flows {
			b.add(factory(t, "swift", fabric))
			b.run(300 * time.Microsecond)
		}
		b.run(10 * time.Millisecond)
		_, goodput := b.measure(10 * time.Millisecond)
		require.GreaterOrEqual(t, jain(goodput), 0.95, "%d came", flows)
		for _, s := range b.flows[:flows/2] {
			s.active = false
		}
		b.run(10 * time.Millisecond)
		_, goodput = b.measure(10 * time.Millisecond)
		left := goodput[flows/2:]
		require.GreaterOrEqual(t, jain(left), 0.95, "%d of them left", flows/2)
		require.GreaterOrEqual(t, total(left)/b.rate, 0.95, "%d of them left", flows/2)
	}
}

func TestALoneFlowHasAllOfTheLink(t *testing.T) {
	t.Parallel()
	for _, name := range cc.Names() {
		for _, datagram := range []int{1472, 8972} {
			b := newFabric(datagram)
			b.add(factory(t, name))
			b.run(2 * time.Millisecond)
			_, goodput := b.measure(10 * time.Millisecond)
			require.GreaterOrEqual(t, goodput[0]/b.rate, 0.95, "%s, datagrams of %d bytes", name, datagram)
		}
	}
}

func TestALongerRouteIsLearned(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"swift", "timely"} {
		b := newFabric(1472)
		b.add(factory(t, name))
		b.run(5 * time.Millisecond)
		b.trip = 500 * time.Microsecond
		b.run(200 * time.Millisecond)
		_, goodput := b.measure(20 * time.Millisecond)
		require.GreaterOrEqual(t, goodput[0]/b.rate, 0.9, name)
	}
}

func TestAfterSilenceAFlowIsSoonBack(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"swift", "timely", "dctcp"} {
		b := newFabric(1472)
		s := b.add(factory(t, name))
		b.run(5 * time.Millisecond)
		b.loss = 1
		b.run(10 * time.Millisecond)
		require.LessOrEqual(t, s.controller.Window(), cc.DefaultWindow/16, name)
		b.loss = 0
		b.run(40 * time.Millisecond) // the sender's own backoff
		_, goodput := b.measure(10 * time.Millisecond)
		require.GreaterOrEqual(t, goodput[0]/b.rate, 0.95, name)
	}
}
