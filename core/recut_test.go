package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
)

// A path that shrinks has a message cut anew. That a fragment of the former cut arrives
// after all says nothing of the one that has its number now.
func TestAFragmentOfTheFormerCutCountsForNoneOfTheNext(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	n.run(10 * time.Millisecond)
	client.port.Stuck(true)
	n.submit(s, &Call{Method: echo, Request: pattern(60_000, 1)})
	m, o := muxOf(client.toward(server)), &s.activeSlot(0).out
	o.split(m.stride(o) + 300) // as while the path was wider
	first := m.queue.sent
	for range 3 {
		fragment, _ := o.take()
		m.queue.note(o, fragment, m.conn.Settled())
	}
	filled, _ := m.Fill(&packet.Run{Packets: []transport.TxPacket{{Head: make([]byte, m.conn.Room())}}, Limit: m.conn.Room()})
	require.Equal(t, 1, filled)
	require.Equal(t, m.stride(o), int(o.stride), "it is cut anew")
	m.Arrived(first, 3)
	require.Equal(t, o.fragments, o.unacked)
}
