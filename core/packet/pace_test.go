package packet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// dictate is a controller whose answers the test writes, and that remembers what it
// was told.
type dictate struct {
	window   int
	rate     uint64
	timeouts int
	acks     []cc.Ack
}

func (d *dictate) Sent(time.Duration, int, int) {}
func (d *dictate) Acked(a cc.Ack)               { d.acks = append(d.acks, a) }
func (d *dictate) Lost(cc.Loss)                 {}
func (d *dictate) Spurious(time.Duration, int)  {}
func (d *dictate) TimedOut(time.Duration)       { d.timeouts++ }
func (d *dictate) Window() int                  { return d.window }
func (d *dictate) Rate() uint64                 { return d.rate }

// dictated is a server, and a client whose sending d decides.
func dictated(w *world, d cc.Controller) (server, client *site, out, in *blobs) {
	server = w.add()
	client = w.add(func(c *packet.Config) { c.Controller = func(cc.Path) cc.Controller { return d } })
	out, in = w.connect(client, server)
	return server, client, out, in
}

// departures notes when the client's datagrams of more than 1000 bytes leave.
func departures(w *world, client *site) *[]time.Duration {
	var at []time.Duration
	w.fate = func(p *sim.Packet) sim.Verdict {
		if p.From == client.addr && len(p.Data) > 1000 {
			at = append(at, w.Now())
		}
		return sim.Verdict{}
	}
	return &at
}

func TestAPacedConnectionSendsAtItsRate(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t, 5), &dictate{window: 1 << 20}
	_, client, out, in := dictated(w, d)
	d.rate = 1472 * 10_000 // a datagram in 100 µs
	w.deliver(out, in, 1, 1, 10)
	at := departures(w, client)
	w.deliver(out, in, 1, 1, 100*1400)
	require.Len(t, *at, 97)
	for i := 1; i < len(*at)-1; i++ {
		require.InDelta(t, 100*time.Microsecond, (*at)[i]-(*at)[i-1], float64(2*time.Microsecond), "datagram %d", i)
	}
	w.settled(client)
}

func TestAFasterRateHoldsForWhatWaitsAlready(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t, 5), &dictate{window: 1 << 20}
	_, client, out, in := dictated(w, d)
	d.rate = 1000 // more than a second for a datagram
	w.deliver(out, in, 1, 1, 10)
	w.run(time.Second)
	at := departures(w, client)
	out.send(blobOf(1, 20*1400))
	w.run(10 * time.Microsecond)
	require.Len(t, *at, 1)
	d.rate = 0 // as the controller sees with the acknowledgement
	w.run(5 * time.Millisecond)
	require.Len(t, *at, 19)
	require.Equal(t, 2, out.arrived)
}

func TestALostConnectionWaitsForNoTurn(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t, 5), &dictate{window: 1 << 20}
	server, client, out, in := dictated(w, d)
	d.rate = 10_000
	w.deliver(out, in, 1, 1, 10)
	out.send(blobOf(1, 100*1400))
	w.run(10 * time.Millisecond)
	require.Equal(t, 1, client.held().Paced)
	server.restart()
	w.until(func() bool { return out.downs == 1 })
	require.Zero(t, client.held().Paced)
}

func TestTimeInOurOwnSendQueueIsNotTheNetworks(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t, 5), &dictate{window: 1 << 20}
	_, client, out, _ := dictated(w, d)
	d.acks = nil
	client.port.Full(true)
	out.send(blobOf(0, 10))
	w.run(5 * time.Millisecond)
	client.port.Full(false)
	w.run(time.Millisecond)
	require.Equal(t, 1, out.arrived)
	require.NotEmpty(t, d.acks)
	require.InDelta(t, 2*oneWay, d.acks[0].RTT, float64(10*time.Microsecond))
}

func TestTimeInReceiveQueuesIsNotTheNetworks(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t, 5), &dictate{window: 1 << 20}
	server, client, out, in := dictated(w, d)
	// Each host is busy with something else until 300 µs after a datagram came.
	w.fate = func(p *sim.Packet) sim.Verdict {
		to := server
		if p.From == server.addr {
			to = client
		}
		to.host.Pause(oneWay + 300*time.Microsecond)
		return sim.Verdict{}
	}
	d.acks = nil
	w.deliver(out, in, 1, 20, 10)
	require.NotEmpty(t, d.acks)
	for _, a := range d.acks {
		require.InDelta(t, 2*oneWay, a.RTT, float64(10*time.Microsecond))
	}
}

func TestASlowHostIsWaitedFor(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t, 5), &dictate{window: 1 << 20}
	server, client, out, in := dictated(w, d)
	w.fate = func(p *sim.Packet) sim.Verdict {
		if p.To == server.addr {
			w.At(w.Now()+w.link.Delay, func() { server.host.Pause(3 * time.Millisecond) })
		}
		return sim.Verdict{}
	}
	w.deliver(out, in, 1, 100, 10)
	require.Less(t, client.Stats().ProbeTimeouts, uint64(5), "what a host takes is learnt")
	for _, a := range d.acks {
		require.Less(t, a.RTT, time.Millisecond, "and is not the network's")
	}
}

func TestLatenessOfOurOwnIsNoLoss(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t, 5), &dictate{window: 1 << 20}
	_, client, out, _ := dictated(w, d)
	for i := range 25 {
		late := true
		w.fate = func(p *sim.Packet) (v sim.Verdict) {
			if p.From == client.addr && late {
				late = false
				v.Delay = 30 * time.Microsecond // the next one overtakes it
			}
			return v
		}
		for range 2 {
			out.send(blobOf(i, 10))
			w.run(0)
		}
		client.host.Pause(5 * time.Millisecond)
		w.until(func() bool { return out.arrived == out.sent })
		w.run(time.Millisecond)
	}
	require.Zero(t, client.Stats().LostPackets)
}

// shy is a controller whose window falls to one datagram with the first timeout.
type shy struct{ dictate }

func (s *shy) TimedOut(time.Duration) { s.window = 1 }

func TestAProbeGoesWhateverTheWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5)
	controller := &shy{dictate{window: 64 << 10}}
	_, client, out, _ := dictated(w, controller)
	passed := 0
	w.fate = func(p *sim.Packet) sim.Verdict {
		if p.From == client.addr {
			passed++
		}
		return sim.Verdict{Drop: passed > 8 && controller.window > 1} // until the first timeout
	}
	out.send(blobOf(0, 1<<20))
	w.run(time.Second)
	require.Equal(t, 1, out.arrived)
}
