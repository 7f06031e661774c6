package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// requests is a datagram full of empty ones, of a session.
func requests(client *secret, number uint32, session uint16) []byte {
	data := make([]byte, 1472)
	n := (&wire.Header{Type: wire.Data, Connection: client.index, Token: client.token, Number: number}).Put(data)
	for sequence := uint32(1); n+wire.MessageHeaderSize <= len(data); sequence++ {
		h := wire.MessageHeader{Kind: wire.Request, Session: session, Generation: 1, Method: echo, Sequence: sequence}
		n += h.Put(data[n:], 0)
	}
	return data[:n]
}

// A handshake tells of 65535 sessions at most, so that no index is as much.
func TestTheLastSessionIndexIsNone(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.add(Config{Sessions: 1 << 17})
	x := n.byHand(server)
	_, known := x.join(1)
	x.take(1, requests(known, 1, 1<<16-1))
	require.Zero(t, server.Stats().Sessions)
	require.EqualValues(t, (1472-wire.HeaderSize)/wire.MessageHeaderSize, server.Stats().RequestsRefused)
	x.take(1, requests(known, 2, 1<<16-2))
	require.Equal(t, 1, server.Stats().Sessions)
}

func TestAClientThatAcknowledgesNoRefusalTakesNoMemory(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.add(Config{Sessions: 1})
	x := n.byHand(server)
	for port := range uint16(20) {
		c, known := x.join(1 + port)
		for number := range uint32(2000) {
			x.take(1+port, requests(known, number+1, 5))
		}
		require.LessOrEqual(t, muxOf(c).controls, maxRefusals+1472/wire.MessageHeaderSize)
		require.Equal(t, packet.Connected, c.State(), "it may still acknowledge")
	}
	require.NotZero(t, server.Stats().RxNoRoom)
	require.LessOrEqual(t, server.controlling, 20*(maxRefusals+100))
}

func TestRefusalsOfAllClientsTogetherAreBounded(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.add(Config{Sessions: 1})
	x := n.byHand(server)
	const clients = 300
	for port := range uint16(clients) {
		c, known := x.join(1 + port)
		for number := range uint32(20) {
			x.take(1+port, requests(known, number+1, 5))
		}
		require.GreaterOrEqual(t, muxOf(c).controls, fewRefusals, "nobody is left without an answer")
	}
	require.LessOrEqual(t, server.controlling, allRefusals+clients*(fewRefusals+100))
	require.Less(t, server.controlling, clients*maxRefusals)
}

func TestEveryRequestBeyondTheSessionsIsAnswered(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	n.faults(sim.Faults{Loss: 0.02})
	server, client := n.echoServer(Config{Sessions: 1}), n.add(Config{})
	answered := 0
	for range 40 {
		s, err := client.Connect(server.addr)
		require.NoError(t, err)
		for range 200 {
			s.Submit(&Call{Method: echo, Done: func(c *Call) {
				answered++
				if c.Err != nil {
					require.Equal(t, ResourceExhausted, failure(t, c).Code)
				}
			}})
		}
	}
	n.until(func() bool {
		require.LessOrEqual(t, server.controlling, maxRefusals+1472/wire.MessageHeaderSize)
		return answered == 40*200
	})
	n.run(time.Second)
	require.Zero(t, server.controlling)
	n.settled(server, client)
}
