package cc_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// newStreet is a bottleneck as between machines of a cloud, whose queue is long and
// does not mark: 200 Mbit/s and 10 ms.
func newStreet(t *testing.T, buffer int) *neck {
	n := newNeck(t, shape{gigabits: 0.2, uplinks: 10, trip: 60 * time.Microsecond, datagram: 1472, buffer: buffer})
	n.late = func(now time.Duration) time.Duration { // so that nobody stays in step
		return time.Duration(uint32(now/(50*time.Microsecond))*2654435769>>12) % (100 * time.Microsecond)
	}
	return n
}

// watched counts how often flows change over, while d passes.
func (n *neck) watched(d time.Duration, flows ...*flow) (changes int) {
	was := make([]bool, len(flows))
	for i, s := range flows {
		was[i] = cc.Sharing(s.controller)
	}
	for end := n.Now() + d; n.Now() < end; {
		n.Run(time.Millisecond)
		for i, s := range flows {
			if now := cc.Sharing(s.controller); now != was[i] {
				was[i] = now
				changes++
			}
		}
	}
	return changes
}

func autos(t *testing.T, b *neck, n int) (flows []*flow) {
	for range n {
		flows = append(flows, b.join(factory(t, "auto")))
	}
	for _, f := range flows {
		f.begin()
		b.Run(3 * time.Millisecond)
	}
	return flows
}

func TestAutoQueuesLittleWhereNobodyElseIs(t *testing.T) {
	t.Parallel()
	for _, n := range some(8, 1, 4) {
		b := newStreet(t, 250_000)
		flows := autos(t, b, n)
		require.Zero(t, b.watched(2*time.Second, flows...), "%d flows", n)
		queue, goodput := b.measure(500 * time.Millisecond)
		require.LessOrEqual(t, queue, time.Millisecond, "%d flows", n)
		require.GreaterOrEqual(t, total(goodput), 0.95, "%d flows", n)
		require.GreaterOrEqual(t, jain(goodput), 0.8, "%d flows", n)
	}
}

func TestAutoSharesWithWhoFillsTheQueueAndIsBackOnceItIsAlone(t *testing.T) {
	t.Parallel()
	for _, n := range some(1, 4) {
		b := newStreet(t, 250_000)
		flows := autos(t, b, n)
		b.Run(500 * time.Millisecond)
		other := b.add(factory(t, "cubic"))
		b.Run(3 * time.Second)
		_, goodput := b.measure(3 * time.Second)
		require.GreaterOrEqual(t, jain(goodput), 0.9, "%d: %v", n, goodput)
		require.LessOrEqual(t, b.watched(2*time.Second, flows...), 2*n, "it does not swing")

		other.active = false
		b.Run(12 * time.Second) // it may have looked in vain just before
		require.Zero(t, b.watched(time.Second, flows...))
		queue, goodput := b.measure(time.Second)
		require.LessOrEqual(t, queue, time.Millisecond, "%d flows", n)
		// Of four one has now and then twice what the others have, for a second or two.
		require.GreaterOrEqual(t, jain(goodput[:n]), 0.75, "%d flows", n)
		require.GreaterOrEqual(t, total(goodput), 0.95)
	}
}

func TestAutoThatComesLateToAFullQueueGetsItsShare(t *testing.T) {
	t.Parallel()
	b := newStreet(t, 250_000)
	b.add(factory(t, "cubic"))
	b.Run(2 * time.Second)
	b.add(factory(t, "auto"))
	b.Run(3 * time.Second)
	_, goodput := b.measure(3 * time.Second)
	share := goodput[1] / total(goodput)
	require.GreaterOrEqual(t, share, 0.4)
	require.LessOrEqual(t, share, 0.6)
}

// A buffer so short that nothing waits: only losses tell of others.
func TestAutoSharesABufferThatShowsNoDelay(t *testing.T) {
	t.Parallel()
	b := newStreet(t, 5*1472)
	b.join(factory(t, "cubic"))
	b.join(factory(t, "auto"))
	for _, f := range b.flows {
		f.begin()
	}
	b.Run(time.Second)
	_, goodput := b.measure(3 * time.Second)
	share := goodput[1] / total(goodput)
	require.GreaterOrEqual(t, share, 0.35)
	require.LessOrEqual(t, share, 0.65)
}

func TestAutoOnALongWayIsCubic(t *testing.T) {
	t.Parallel()
	b := newNeck(t, shape{gigabits: 0.05, uplinks: 10, trip: 20 * time.Millisecond, datagram: 1472, buffer: 250_000})
	s := b.add(factory(t, "auto"))
	b.Run(2 * time.Second)
	require.True(t, cc.Sharing(s.controller))
	_, goodput := b.measure(5 * time.Second)
	require.GreaterOrEqual(t, goodput[0], 0.95)
}

func TestAutoHeedsMarks(t *testing.T) {
	t.Parallel()
	c := factory(t, "auto")(cc.Path{Datagram: segment})
	now, rtt := time.Second, 50*time.Microsecond
	turn := func(marked int) {
		window := c.Window()
		c.Sent(now, window, window)
		began := now
		now += rtt
		for n := window / segment; n > 0; n-- {
			now++
			c.Acked(cc.Ack{Now: now, Packets: 1, Bytes: segment, CE: marked, RTT: rtt, Sent: began, InFlight: (n - 1) * segment})
		}
	}
	for range 4 {
		turn(0)
	}
	require.False(t, cc.Sharing(c))
	was := c.Window()
	turn(1)
	require.True(t, cc.Sharing(c))
	turn(0)
	require.InDelta(t, 0.7*float64(was), float64(c.Window()), 0.2*float64(was))
}

// A wire that loses by chance, and no queue: of 1 % it is not shared, and more is as TCP
// would share it. It is not asked over and over whose the queue is.
func TestAutoTakesFewLossesForChanceAndDoesNotLookForAQueueWhereNothingWaits(t *testing.T) {
	t.Parallel()
	for loss, sharing := range map[float64]bool{0.01: false, 0.06: true} {
		b := newNeck(t, shape{gigabits: 25, trip: 8 * time.Microsecond, datagram: 1472})
		s := b.add(factory(t, "auto"))
		b.pipe.SetFaults(sim.Faults{Loss: loss})
		b.Run(10 * time.Millisecond)
		for range 1000 {
			b.Run(10 * time.Microsecond)
			require.Equal(t, sharing, cc.Sharing(s.controller), "%v", loss)
		}
	}
}

func TestALossWhileNothingWaitsLeavesMoreOfTheWindow(t *testing.T) {
	t.Parallel()
	const base = 100 * time.Microsecond
	after := func(rtt time.Duration) float64 {
		c := factory(t, "auto")(cc.Path{Datagram: segment})
		now := time.Second
		turn := func(rtt time.Duration, lost int) {
			window := c.Window()
			c.Sent(now, window, window)
			began := now
			now += rtt
			if lost > 0 {
				c.Lost(cc.Loss{Now: now, Bytes: lost, Sent: began, InFlight: window - lost})
			}
			c.Acked(cc.Ack{Now: now, Packets: 1, Bytes: window - lost, RTT: rtt, Sent: began})
		}
		turn(base, 0)
		for range 40 { // too many for chance
			turn(base, segment)
		}
		require.True(t, cc.Sharing(c))
		for range 4 {
			turn(rtt, 0)
		}
		was := c.Window()
		turn(rtt, segment)
		return float64(c.Window()) / float64(was)
	}
	require.InDelta(t, 0.8, after(base), 0.05)
	require.InDelta(t, 0.7, after(2*base), 0.05, "half of the window waits")
}
