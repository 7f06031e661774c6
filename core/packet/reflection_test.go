package packet_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// echoService sends back what it is sent.
type echoService struct{ port *sim.Port }

func (s echoService) NextDeadline() (time.Duration, bool) { return 0, false }

func (s echoService) Poll(time.Duration) (bool, error) {
	var rx [1]transport.RxPacket
	n, err := s.port.Recv(rx[:])
	if n == 0 || err != nil {
		return false, err
	}
	var tx [1]transport.TxPacket
	s.port.Reserve(tx[:])
	tx[0].Head = tx[0].Head[:copy(tx[0].Head, rx[0].Data)]
	tx[0].Route, err = s.port.Resolve(rx[0].From, netip.Addr{})
	if err == nil {
		_, err = s.port.Send(tx[:])
	}
	s.port.Release(rx[:])
	return true, err
}

// addEcho adds a host with an echo service.
func (w *world) addEcho() netip.AddrPort {
	h := w.plug()
	port := h.Open(7)
	h.Run(echoService{port}, port)
	return port.LocalAddr()
}

func clientOnly(c *packet.Config) { c.ClientOnly = true }

func TestAnEchoServiceIsNotTakenForAServer(t *testing.T) {
	t.Parallel()
	for _, set := range []func(*packet.Config){impatient, clientOnly} {
		w := newWorld(t, 1)
		to, client := w.addEcho(), w.add(set)
		out := client.dial(to)
		began := w.Now()
		w.until(func() bool { return len(out.failures) == 1 })
		require.Contains(t, out.failures[0].Reason, "sends back what it is sent")
		require.LessOrEqual(t, w.Now()-began, 2*oneWay+time.Microsecond)
		require.Zero(t, client.Stats().Peers)
		require.EqualValues(t, 1, client.Stats().RxReflected)
	}
}

func TestAnEchoServiceThatAnswersToAnotherQueueIsNotTakenForAServer(t *testing.T) {
	t.Parallel()
	for _, only := range []bool{false, true} {
		w := newWorld(t, 1)
		to := w.addEcho()
		queues := w.addQueues(2, func(c *packet.Config) { c.ClientOnly = only })
		for range 20 {
			out := queues[0].dial(to)
			w.until(func() bool { return len(out.failures) == 1 })
			require.Contains(t, out.failures[0].Reason, "sends back what it is sent")
			out.conn.Close("enough")
			w.run(time.Second)
		}
		require.Zero(t, queues[0].Stats().Peers+queues[1].Stats().Peers)
		require.NotZero(t, queues[1].Stats().RxControl, "none of them got there")

		out := w.add().dial(queues[0].addr)
		w.until(func() bool { return out.ups+len(out.failures) == 1 })
		if only {
			require.Contains(t, out.failures[0].Reason, "only dials")
		} else {
			require.Empty(t, out.failures)
		}
	}
}

func TestAnEndpointMayDialItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	s := w.add()
	out, in := w.connect(s, s)
	w.deliver(out, in, 16, 300, 3000)
	w.deliver(in, out, 16, 300, 3000)
	require.Zero(t, s.Stats().RxReflected)
	out.conn.Close("that was all")
	w.run(time.Millisecond)
	require.Zero(t, s.Stats().Peers)
}

func TestDatagramsThatComeBackHarmNoConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client, out, in := w.pair()
	w.fate = func(p *sim.Packet) sim.Verdict {
		for _, s := range w.sites {
			if s.addr == p.From {
				s.port.Deliver(p.To, p.Data, transport.NotECT)
			}
		}
		return sim.Verdict{}
	}
	w.deliver(out, in, 16, 300, 3000)
	w.deliver(in, out, 16, 300, 3000)
	w.run(10 * time.Second)
	w.deliver(out, in, 1, 1, 10)
	for _, s := range w.sites {
		require.NotZero(t, s.Stats().RxReflected)
		require.Zero(t, s.Stats().PeersFailed)
	}
	w.heal()
	w.settled(server, client)
}
