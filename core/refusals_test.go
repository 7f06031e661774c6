package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// join makes a connection from an address, by hand.
func (w *bareWire) join(t *testing.T, from netip.AddrPort) *packet.Conn {
	w.from = from
	hello := wire.HelloBody{Connection: 1, Token: 3, Params: w.params()}
	hello.Cookie = w.e.packets.Cookie(from, hello.Connection, hello.Token)
	before := len(w.accepted())
	w.take(helloDatagram(&hello))
	all := w.accepted()
	require.Len(t, all, before+1)
	for _, c := range all {
		if c.Addr() == from {
			return c
		}
	}
	return nil
}

// requests is a datagram full of empty ones, of a session.
func requests(c *packet.Conn, number uint32, session uint16) []byte {
	data := make([]byte, 1472)
	n := (&wire.Header{Type: wire.Data, Connection: c.Inside().Index, Token: c.Inside().Token, Number: number}).Put(data)
	for sequence := uint32(1); n+wire.MessageHeaderSize <= len(data); sequence++ {
		h := wire.MessageHeader{Kind: wire.Request, Session: session, Generation: 1, Method: echo, Sequence: sequence}
		n += h.Put(data[n:], 0)
	}
	return data[:n]
}

func TestAClientThatAcknowledgesNoRefusalTakesNoMemory(t *testing.T) {
	t.Parallel()
	w := newWire(t, Config{Sessions: 1})
	for i := range byte(20) {
		c := w.join(t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, i}), 1))
		for number := range uint32(2000) {
			w.take(requests(c, number+1, 5))
		}
		require.LessOrEqual(t, muxOf(c).controls, maxRefusals+1472/wire.MessageHeaderSize)
		require.Equal(t, packet.Connected, c.State(), "it may still acknowledge")
	}
	require.NotZero(t, w.e.Stats().RxNoRoom)
	require.LessOrEqual(t, w.e.controlling, 20*(maxRefusals+100))
}

func TestRefusalsOfAllClientsTogetherAreBounded(t *testing.T) {
	t.Parallel()
	w := newWire(t, Config{Sessions: 1})
	const clients = 300
	for i := range clients {
		c := w.join(t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 1))
		for number := range uint32(20) {
			w.take(requests(c, number+1, 5))
		}
		require.GreaterOrEqual(t, muxOf(c).controls, fewRefusals, "nobody is left without an answer")
	}
	require.LessOrEqual(t, w.e.controlling, allRefusals+clients*(fewRefusals+100))
	require.Less(t, w.e.controlling, clients*maxRefusals)
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
