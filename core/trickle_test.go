package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// trickle takes two packets at a time.
type trickle struct{ *sim.Port }

func (t trickle) Send(pkts []transport.TxPacket) (int, error) {
	return t.Port.Send(pkts[:min(2, len(pkts))])
}

func TestACloseIsToldOverATransportThatTakesLittleAtATime(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.echoServer(Config{})
	n.over = func(p *sim.Port) transport.Transport { return trickle{p} }
	client := n.add(Config{})
	s := n.connect(client, server)
	n.echoes(s, 10)
	n.submit(s, &Call{Method: echo, Request: make([]byte, 1<<20)})
	_, err := client.Poll(n.Now()) // builds more than is taken
	require.NoError(t, err)
	require.NoError(t, client.Close())
	n.run(time.Millisecond)
	require.Zero(t, server.Stats().Peers)
}
