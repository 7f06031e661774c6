package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
)

// dictate is a controller whose answers the test writes, and that remembers
// what it was told.
type dictate struct {
	window int
	rate   uint64
	acks   []cc.Ack
}

func (d *dictate) Sent(time.Duration, int, int) {}
func (d *dictate) Acked(a cc.Ack)               { d.acks = append(d.acks, a) }
func (d *dictate) Lost(cc.Loss)                 {}
func (d *dictate) Spurious(time.Duration, int)  {}
func (d *dictate) TimedOut(time.Duration)       {}
func (d *dictate) Window() int                  { return d.window }
func (d *dictate) Rate() uint64                 { return d.rate }

// dictated is a server and a client with a session, whose sending d decides.
func dictated(t *testing.T, d *dictate) (n *network, server, client *node, s *Session) {
	n = newNetwork(t, 5)
	server = n.echoServer(Config{})
	server.Handle(later, func(r *Request) { r.Reply(nil) })
	client = n.add(Config{Controller: func(cc.Path) cc.Controller { return d }})
	s = n.connect(client, server)
	n.run(10 * time.Millisecond) // the MTU is found
	return n, server, client, s
}

// departures notes when client's datagrams of more than 1000 bytes leave.
func departures(n *network, client *node) *[]time.Duration {
	var at []time.Duration
	n.drop = func(from, _ netip.AddrPort, data []byte) bool {
		if from == client.addr && len(data) > 1000 {
			at = append(at, n.Now())
		}
		return false
	}
	return &at
}

func TestAPacedPeerSendsAtItsRate(t *testing.T) {
	t.Parallel()
	d := &dictate{window: 1 << 20}
	n, _, client, s := dictated(t, d)
	client.toward(n.nodes[0]).Pace(1472 * 10_000) // a datagram in 100 µs
	d.rate = 1472 * 10_000
	at := departures(n, client)
	c := Call{Method: later, Request: pattern(100*1400, 1)}
	n.call(s, &c)
	require.NoError(t, c.Err)
	require.Greater(t, len(*at), 97)
	for i := 1; i < len(*at)-1; i++ {
		require.InDelta(t, 100*time.Microsecond, (*at)[i]-(*at)[i-1], float64(2*time.Microsecond), "datagram %d", i)
	}
	require.Zero(t, client.stock().Paced)
	n.settled(client)
}

func TestAFasterRateHoldsForWhatWaitsAlready(t *testing.T) {
	t.Parallel()
	d := &dictate{window: 1 << 20}
	n, _, client, s := dictated(t, d)
	p := client.toward(n.nodes[0])
	d.rate = 1000 // more than a second for a datagram
	p.Pace(1000)
	at := departures(n, client)
	done := n.submit(s, &Call{Method: later, Request: pattern(20*1400, 1)})
	n.run(10 * time.Microsecond)
	require.Len(t, *at, 1)
	d.rate = 0 // as the controller sees with the acknowledgement
	n.run(5 * time.Millisecond)
	require.Greater(t, len(*at), 19)
	require.Equal(t, 1, *done)
}

func TestWhatIsCanceledWhileItWaitsForItsTurnIsNotSent(t *testing.T) {
	t.Parallel()
	d := &dictate{window: 1 << 20}
	n, server, client, s := dictated(t, d)
	p := client.toward(server)
	d.rate = 100_000
	p.Pace(100_000)
	at := departures(n, client)
	c := &Call{Method: later, Request: pattern(100*1400, 1)}
	done := n.submit(s, c)
	n.run(time.Millisecond)
	s.Cancel(c)
	require.Equal(t, 1, *done)
	n.run(time.Second)
	require.Len(t, *at, 1)
	require.Zero(t, client.stock().Paced)
	require.Zero(t, server.Stats().RequestsHandled)
	n.settled(server, client)
}

func TestALostConnectionWaitsForNoTurn(t *testing.T) {
	t.Parallel()
	d := &dictate{window: 1 << 20}
	n, server, client, s := dictated(t, d)
	p := client.toward(server)
	d.rate = 10_000
	p.Pace(10_000)
	done := n.submit(s, &Call{Method: later, Request: pattern(100*1400, 1)})
	n.run(time.Millisecond)
	require.Equal(t, 1, client.stock().Paced)
	server.restart(Config{})
	n.until(func() bool { return *done == 1 })
	require.Zero(t, client.stock().Paced)
}

func TestTimeInOurOwnSendQueueIsNotTheNetworks(t *testing.T) {
	t.Parallel()
	d := &dictate{window: 1 << 20}
	n, _, client, s := dictated(t, d)
	d.acks = nil
	client.port.Full(true)
	done := n.submit(s, &Call{Method: later, Request: pattern(10, 1)})
	n.run(5 * time.Millisecond)
	client.port.Full(false)
	n.run(time.Millisecond)
	require.Equal(t, 1, *done)
	require.NotEmpty(t, d.acks)
	require.InDelta(t, 2*n.delay, d.acks[0].RTT, float64(10*time.Microsecond))
}

func TestTimeInReceiveQueuesIsNotTheNetworks(t *testing.T) {
	t.Parallel()
	d := &dictate{window: 1 << 20}
	n, server, client, s := dictated(t, d)
	// Each host is busy with something else until 300 µs after a datagram came.
	n.late = func(from, _ netip.AddrPort, _ []byte) time.Duration {
		to := server
		if from == server.addr {
			to = client
		}
		to.host.Pause(n.delay + 300*time.Microsecond)
		return 0
	}
	d.acks = nil
	for range 20 {
		n.call(s, &Call{Method: later, Request: pattern(10, 1)})
	}
	require.NotEmpty(t, d.acks)
	for _, a := range d.acks {
		require.InDelta(t, 2*n.delay, a.RTT, float64(10*time.Microsecond))
	}
}

func TestASlowHostIsWaitedFor(t *testing.T) {
	t.Parallel()
	d := &dictate{window: 1 << 20}
	n, server, client, s := dictated(t, d)
	n.drop = func(_, to netip.AddrPort, _ []byte) bool {
		if to == server.addr {
			n.At(n.Now()+n.link.Delay, func() { server.host.Pause(3 * time.Millisecond) })
		}
		return false
	}
	for range 100 {
		n.call(s, &Call{Method: later, Request: pattern(10, 1)})
	}
	st := client.Stats()
	require.Less(t, st.ProbeTimeouts, uint64(5), "what a host takes is learnt")
	for _, a := range d.acks {
		require.Less(t, a.RTT, time.Millisecond, "and is not the network's")
	}
}

func TestLatenessOfOurOwnIsNoLoss(t *testing.T) {
	t.Parallel()
	d := &dictate{window: 1 << 20}
	n, _, client, s := dictated(t, d)
	for i := range 25 {
		late := true
		n.late = func(from, _ netip.AddrPort, _ []byte) time.Duration {
			if from == client.addr && late {
				late = false
				return 30 * time.Microsecond // the next one overtakes it
			}
			return 0
		}
		a := n.submit(s, &Call{Method: later, Request: pattern(10, byte(i))})
		n.react()
		b := n.submit(s, &Call{Method: later, Request: pattern(10, byte(i))})
		n.react()
		client.host.Pause(5 * time.Millisecond)
		n.until(func() bool { return *a+*b == 2 })
		n.run(time.Millisecond)
	}
	require.Zero(t, client.Stats().LostPackets)
}
