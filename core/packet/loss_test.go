package packet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestReorderingIsLearntAndTolerated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12)
	server, client, out, in := w.pair()
	out.alone = true
	w.faults(sim.Faults{Jitter: 60 * time.Microsecond})
	w.deliver(out, in, 64, 2000, 32) // learns
	before := client.Stats()
	w.deliver(out, in, 64, 5000, 32)
	require.NotZero(t, before.SpuriousRetransmits)
	require.Less(t, client.Stats().LostPackets-before.LostPackets, uint64(50), "of 5000")
	w.settled(server, client)
}

func TestLostAcknowledgementsAreMadeUpFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 16)
	server, client, out, in := w.pair()
	w.fate = func(p *sim.Packet) sim.Verdict {
		return sim.Verdict{Drop: typeOf(p.Data) == wire.Ack && w.Rand().Float64() < 0.7}
	}
	w.deliver(out, in, 4, 50, 50_000)
	w.deliver(out, in, 16, 500, 32)
	require.Zero(t, client.Stats().PeersFailed)
	w.heal()
	w.settled(server, client)
}

func TestALostTailCostsAboutOneProbeTimeout(t *testing.T) {
	t.Parallel()
	for _, fromServer := range []bool{false, true} {
		w := newWorld(t, 17)
		_, _, out, in := w.pair()
		if fromServer {
			out, in = in, out
		}
		w.deliver(out, in, 1, 100, 32) // knows the round trip
		w.run(10 * time.Millisecond)
		lost := false
		w.fate = func(p *sim.Packet) sim.Verdict {
			drop := !lost && holdsBlobs(p.Data)
			lost = lost || drop
			return sim.Verdict{Drop: drop}
		}
		timeout := out.conn.Inside().ProbeTimeout
		began := w.Now()
		w.deliver(out, in, 1, 1, 32)
		require.True(t, lost)
		require.LessOrEqual(t, w.Now()-began, timeout+4*oneWay)
		require.LessOrEqual(t, timeout, 3*time.Millisecond)
	}
}

// losing drops datagrams with blobs, by how many there were before.
func (w *world) losing(numbers ...int) {
	sent := 0
	w.fate = func(p *sim.Packet) (v sim.Verdict) {
		if holdsBlobs(p.Data) {
			sent++
			for _, n := range numbers {
				v.Drop = v.Drop || n == sent
			}
		}
		return v
	}
}

func TestAGapIsRepairedWithoutATimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 18)
	_, client, out, in := w.pair()
	w.losing(5, 20)
	w.deliver(out, in, 1, 1, 100_000)
	require.EqualValues(t, 2, client.Stats().LostPackets, "selective: what was lost and no more")
	require.Zero(t, client.Stats().ProbeTimeouts)
	require.Zero(t, in.again)
}

func TestLargeTransfersNeedFewAcknowledgements(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 19)
	server, client, out, in := w.pair()
	w.deliver(out, in, 1, 1, 8<<20)
	require.Greater(t, client.Stats().TxData, uint64(5000))
	require.Less(t, float64(server.Stats().TxControl), 0.06*float64(client.Stats().TxData))
}

// Else each round trip would be as long as an acknowledgement may wait.
func TestFewCreditsAreAskedForBackAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20)
	_, _, out, in := w.pair(func(c *packet.Config) { c.Credits, c.AckDelay = 4, 10*time.Millisecond })
	began := w.Now()
	w.deliver(out, in, 1, 1, 1_000_000)
	trips := 1_000_000 / (4 * (1472 - wire.HeaderSize - blobHead))
	require.Less(t, w.Now()-began, time.Duration(trips+10)*(2*oneWay+time.Microsecond)+10*time.Millisecond)
}

// Of few packets in flight none is overtaken by many, but by time.
func TestReorderingInTimeIsLearntToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 21)
	w.link.Delay = 5 * time.Millisecond // a round trip is 20 ms
	_, client, out, in := w.pair()
	out.alone = true
	w.deliver(out, in, 1, 50, 32)
	first := false
	w.fate = func(p *sim.Packet) (v sim.Verdict) {
		if first = holdsBlobs(p.Data) && !first; first {
			v.Delay = 30 * time.Millisecond
		}
		return v
	}
	send := func(count int) (lost uint64) {
		before := client.Stats().LostPackets
		for range count {
			for range 2 {
				out.send(blobOf(out.sent, 32))
			}
			w.run(200 * time.Millisecond)
		}
		return client.Stats().LostPackets - before
	}
	require.NotZero(t, send(50))
	require.Zero(t, send(50), "by now it is borne")
}

// What was overtaken is lost after a while even if nothing else is acknowledged.
func TestWhatWasOvertakenIsLostBeforeThereIsSilence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 22)
	w.link.Delay = 5 * time.Millisecond
	_, client, out, in := w.pair()
	out.alone = true
	w.deliver(out, in, 1, 20, 32)
	w.losing(1)
	began := w.Now()
	out.send(blobOf(out.sent, 32))
	out.send(blobOf(out.sent, 32))
	w.until(func() bool { return out.arrived == out.sent })
	// The second one's acknowledgement comes after a round trip and its delay, and the
	// first is lost a quarter later; then it travels.
	require.Less(t, w.Now()-began, 45*time.Millisecond+2*time.Millisecond)
	require.Zero(t, client.Stats().ProbeTimeouts)
}

func TestAStuckTransportDelaysAndLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 28)
	server, client, out, in := w.pair()
	client.port.Stuck(true)
	out.send(blobOf(0, 50_000))
	w.run(300 * time.Millisecond)
	require.Zero(t, out.arrived)
	client.port.Stuck(false)
	w.until(func() bool { return out.arrived == 1 })
	require.Equal(t, blobOf(0, 50_000), in.received[0])
	w.settled(server, client)
}

func TestALongPathIsProbedToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 31)
	w.link.Delay = 30 * time.Millisecond
	server, client, out, in := w.pair()
	w.run(time.Second)
	require.Equal(t, 1472, out.conn.MTU())
	w.deliver(out, in, 8, 100, 5000)
	require.Less(t, client.Stats().LostPackets, uint64(20))
	w.settled(server, client)
}

func TestLostAcknowledgementsAreNotTakenForAPause(t *testing.T) {
	t.Parallel()
	for seed := range seeds(10) {
		w := newWorld(t, seed)
		_, client, out, in := w.pair()
		w.faults(sim.Faults{Loss: 0.1})
		w.deliver(out, in, 1, 600, 100)
		require.NotZero(t, client.Stats().SpuriousRetransmits)
		require.LessOrEqual(t, out.conn.Inside().Pause, 5*time.Millisecond)
	}
}

func TestTheReceiversQueueBoundsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.host.RecvBuffer = 40_000
	_, _, out, in := w.pair()
	most := 0
	w.fate = func(*sim.Packet) sim.Verdict {
		most = max(most, out.conn.Inside().Bytes)
		return sim.Verdict{}
	}
	w.deliver(out, in, 1, 1, 500_000)
	require.LessOrEqual(t, most, 40_000/2+1472)
	require.Greater(t, most, 40_000/4)
}

// The counters of 32 bits, from near their end.
func TestPacketNumbersWrap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 24)
	server, client, out, in := w.pair()
	w.run(2 * time.Second)
	const near = 1<<32 - 300
	require.Zero(t, out.conn.Inside().InFlight+in.conn.Inside().InFlight)
	out.conn.Renumber(in.conn, near)
	in.conn.Renumber(out.conn, near)
	w.faults(sim.Faults{Loss: 0.05, Duplicate: 0.05, Jitter: 30 * time.Microsecond})
	out.alone, in.alone = true, true
	w.deliver(out, in, 16, 500, 32)
	w.deliver(in, out, 16, 500, 32)
	w.deliver(out, in, 2, 10, 100_000)
	require.Greater(t, out.conn.Inside().Next, uint64(1<<32))
	require.Greater(t, in.conn.Inside().Next, uint64(1<<32))
	require.Zero(t, client.Stats().PeersFailed+server.Stats().PeersFailed)
	w.heal()
	w.settled(server, client)
}

// trickle takes two packets at a time.
type trickle struct{ *sim.Port }

func (t trickle) Send(pkts []transport.TxPacket) (int, error) {
	return t.Port.Send(pkts[:min(2, len(pkts))])
}

func TestACloseIsToldOverATransportThatTakesLittleAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server := w.add()
	w.over = func(p *sim.Port) transport.Transport { return trickle{p} }
	client := w.add()
	out, in := w.connect(client, server)
	w.deliver(out, in, 1, 1, 10)
	out.send(make([]byte, 1<<20))
	_, err := client.Poll(w.Now()) // builds more than is taken
	require.NoError(t, err)
	client.Shut()
	out.conn.Close("that was all")
	require.NoError(t, client.Close())
	w.run(time.Millisecond)
	require.Zero(t, server.Stats().Peers)
	require.True(t, in.gone)
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

// recorded has a client tell a recorder.
func recorded(told *recorder) func(*packet.Config) {
	return func(c *packet.Config) {
		c.Controller = func(p cc.Path) cc.Controller {
			told.Controller = cc.None(cc.DefaultWindow)(p)
			return told
		}
	}
}

func TestTheControllerIsToldWhatWasLostAndWhenItHadLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 18)
	var told recorder
	out, in := w.connect(w.add(recorded(&told)), w.add())
	began := w.Now()
	w.losing(5, 20)
	w.deliver(out, in, 1, 1, 100_000)
	require.InDelta(t, 2*out.conn.MTU(), told.lost, 32, "two pieces")
	require.Zero(t, told.spurious)
	for _, l := range told.losses {
		require.GreaterOrEqual(t, l.Sent, began)
		require.Less(t, l.Sent, l.Now)
		require.Positive(t, l.InFlight)
	}
}

func TestTheControllerIsToldThatWhatCountedAsLostWasLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 18)
	var told recorder
	out, in := w.connect(w.add(recorded(&told)), w.add())
	w.faults(sim.Faults{Jitter: 30 * time.Microsecond})
	w.deliver(out, in, 4, 50, 100_000)
	require.Positive(t, told.spurious)
	require.LessOrEqual(t, told.spurious, told.lost+told.timeouts*out.conn.MTU())
}

func TestTheControllerIsToldHowManyPacketsWereMarked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 29)
	var told recorder
	out, in := w.connect(w.add(recorded(&told)), w.add())
	marked := 0
	w.fate = func(p *sim.Packet) sim.Verdict {
		if p.ECN != transport.NotECT && w.Rand().Float64() < 0.3 {
			marked++
			p.ECN = transport.CE
		}
		return sim.Verdict{}
	}
	w.faults(sim.Faults{Loss: 0.05, Jitter: 500 * time.Microsecond}) // acknowledgements overtake each other, too
	w.deliver(out, in, 64, 2000, 3000)
	require.Greater(t, told.marked, marked/2)
	require.LessOrEqual(t, told.marked, marked)
}

func TestALostProbeOfTheMTUIsNoCongestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 30)
	w.link.MTU = 9000
	w.fate = func(p *sim.Packet) sim.Verdict { return sim.Verdict{Drop: len(p.Data) > 1472} }
	var told recorder
	out, in := w.connect(w.add(recorded(&told)), w.add())
	w.deliver(out, in, 8, 200, 32)
	w.run(2 * time.Second)
	require.Zero(t, told.lost)
	require.Zero(t, told.timeouts)
	require.Positive(t, told.acked)
}

// Of two that were overtaken the one that was sent first is lost first.
func TestWhatWasSentFirstIsLostFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 22)
	w.link.Delay = 5 * time.Millisecond
	_, client, out, in := w.pair()
	out.alone = true
	w.deliver(out, in, 1, 20, 32)
	w.losing(1, 2)
	began, first := w.Now(), out.sent
	out.send(blobOf(first, 32))
	w.run(4 * time.Millisecond)
	out.send(blobOf(first+1, 32))
	out.send(blobOf(first+2, 32))
	w.until(func() bool { return in.received[uint32(first)] != nil })
	// As above, but the second is lost four milliseconds later.
	require.Less(t, w.Now()-began, 37*time.Millisecond)
	require.Zero(t, client.Stats().ProbeTimeouts)
	w.until(func() bool { return out.arrived == out.sent })
}
