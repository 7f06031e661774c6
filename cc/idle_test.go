package cc_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// noisyEnds delay what arrives in each tenth of a millisecond by a heavy-tailed
// time (Pareto, 5 to 500 µs), and stall for 5 ms of every 100 ms.
func noisyEnds(seed uint64) func(time.Duration) time.Duration {
	return func(now time.Duration) time.Duration {
		const every, stall, slot = 100 * time.Millisecond, 5 * time.Millisecond, 100 * time.Microsecond
		chance := rand.New(rand.NewPCG(uint64(now/slot), seed)).Float64()
		noise := time.Duration(5e3 / math.Pow(1-chance, 1/1.5))
		return min(noise, 500*time.Microsecond) + max(0, stall-(now+every/2)%every)
	}
}

// eRPC's Timely falls to 1 or 2 Gbit/s on such a path.
func TestNoiseDoesNotThrottleAnIdleNetwork(t *testing.T) {
	t.Parallel()
	for _, p := range some(
		shape{gigabits: 20, trip: 50 * time.Microsecond, datagram: 8972}, // a kernel's
		shape{gigabits: 10, trip: 50 * time.Microsecond, datagram: 1472},
		shape{gigabits: 40, trip: 10 * time.Microsecond, datagram: 8972}, // of bypassed ones
	) {
		goodput := func(name string, seed uint64) float64 {
			n := newNeck(t, p)
			n.add(factory(t, name))
			n.late = noisyEnds(seed)
			n.Run(20 * time.Millisecond)
			_, goodput := n.measure(100 * time.Millisecond)
			return goodput[0]
		}
		for _, seed := range some[uint64](1, 2) {
			most := goodput("none", seed)
			for _, name := range some("swift", "timely", "dctcp") {
				require.GreaterOrEqual(t, goodput(name, seed)/most, 0.95, "%s on %+v, seed %d", name, p, seed)
			}
		}
	}
}

func TestLossWithoutDelayDoesNotThrottle(t *testing.T) {
	t.Parallel()
	// About 20 and 200 packets are in flight.
	for _, trip := range some(20*time.Microsecond, 240*time.Microsecond) {
		for _, name := range some("auto", "swift", "timely", "dctcp") {
			goodput := func(loss float64) float64 {
				n := newNeck(t, shape{gigabits: 10, trip: trip, datagram: 1472})
				n.add(factory(t, name))
				n.pipe.SetFaults(sim.Faults{Loss: loss})
				n.Run(10 * time.Millisecond)
				_, goodput := n.measure(40 * time.Millisecond)
				return goodput[0]
			}
			lossless := goodput(0)
			require.GreaterOrEqual(t, goodput(0.001)/lossless, 0.9, "%s, %v", name, trip)
			require.GreaterOrEqual(t, goodput(0.01)/lossless, 0.7, "%s, %v", name, trip)
		}
	}
}

// A window that timeouts brought below a datagram, and that few small calls never
// fill, must not pace them for ever once the path is quiet.
func TestAQuietPathIsNotPacedForever(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"timely", "swift", "dctcp"} {
		c := factory(t, name)(cc.Path{Datagram: 1200})
		now, rtt := time.Second, 20*time.Microsecond
		for range 2 {
			c.TimedOut(now)
			now += time.Second
		}
		for range 1000 {
			now += 20 * time.Millisecond
			c.Sent(now-rtt, 3000, 3000)
			c.Acked(cc.Ack{Now: now, Packets: 1, Bytes: 3000, RTT: rtt, Sent: now - rtt, Datagram: 8972})
		}
		require.Zero(t, c.Rate(), name)
	}
}
