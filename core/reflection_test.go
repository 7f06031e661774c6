package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
func (n *network) addEcho() netip.AddrPort {
	h := n.plug()
	port := h.Open(7)
	h.Run(echoService{port}, port)
	return port.LocalAddr()
}

func TestAnEchoServiceIsNotTakenForAServer(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{{}, {ClientOnly: true}} {
		n := newNetwork(t, 1)
		to, client := n.addEcho(), n.echoServer(cfg)
		s, err := client.Connect(to)
		require.NoError(t, err)
		began := n.Now()
		failed := n.fails(s, &Call{Method: echo})
		require.Equal(t, Unavailable, failed.Code)
		require.ErrorContains(t, failed, "sends back what it is sent")
		require.False(t, failed.MayHaveExecuted)
		require.LessOrEqual(t, n.Now()-began, 2*n.delay+time.Microsecond)
		n.run(time.Second)
		require.Zero(t, client.Stats().Peers)
		require.EqualValues(t, 1, client.Stats().RxReflected)
	}
}

func TestAnEchoServiceThatAnswersToAnotherQueueIsNotTakenForAServer(t *testing.T) {
	t.Parallel()
	for _, only := range []bool{false, true} {
		n := newNetwork(t, 1)
		to := n.addEcho()
		queues := n.addQueues(Config{Seed: [32]byte{7}, ClientOnly: only}, 2)
		for range 20 {
			s, err := queues[0].Connect(to)
			require.NoError(t, err)
			failed := n.fails(s, &Call{Method: echo})
			require.ErrorContains(t, failed, "sends back what it is sent")
			s.Close()
			n.run(time.Second)
		}
		require.Zero(t, queues[0].Stats().Peers+queues[1].Stats().Peers)
		require.NotZero(t, queues[1].Stats().RxControl, "none of them got there")

		stranger, err := n.add(Config{}).Connect(queues[0].addr)
		require.NoError(t, err)
		refused := n.fails(stranger, &Call{Method: echo})
		if only {
			require.ErrorContains(t, refused, "only dials")
		} else {
			require.Equal(t, Unimplemented, refused.Code)
		}
	}
}

func TestAnEndpointMayDialItself(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	d := n.echoServer(Config{})
	s := n.connect(d, d)
	n.stream(s, 16, 300, 3000)
	require.Zero(t, d.Stats().RxReflected)
	s.Close()
	n.run(time.Millisecond)
	require.Zero(t, d.Stats().Peers)
}

func TestDatagramsThatComeBackHarmNoConnection(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{})
	s := n.connect(client, server)
	n.drop = func(from, to netip.AddrPort, data []byte) bool {
		for _, d := range n.nodes {
			if d.addr == from {
				d.port.Deliver(to, data, transport.NotECT)
			}
		}
		return false
	}
	n.stream(s, 16, 300, 3000)
	n.run(10 * time.Second)
	n.echoes(s, 10)
	for _, d := range n.nodes {
		require.NotZero(t, d.Stats().RxReflected)
		require.Zero(t, d.Stats().PeersFailed)
	}
	n.heal()
	n.settled(server, client)
}
