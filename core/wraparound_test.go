package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// The counters of 32 bits, from near their end. Those of 16 are run all the way
// round in core/scenario.

func TestPacketNumbersWrap(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 24)
	server, client, s := pair(n, Config{})
	n.run(2 * time.Second)
	a, b := client.toward(server), server.onlyClient()
	for _, way := range [][2]*packet.Conn{{a, b}, {b, a}} {
		const near = 1<<32 - 300
		sender, receiver := way[0], way[1]
		require.Zero(t, sender.Inside().InFlight)
		sender.Renumber(receiver, near)
	}
	n.faults(sim.Faults{Loss: 0.05, Duplicate: 0.05, Jitter: 30 * time.Microsecond})
	n.stream(s, 16, 3000, 32)
	n.stream(s, 2, 10, 100_000)
	require.Greater(t, a.Inside().Next, uint64(1<<32))
	require.Greater(t, b.Inside().Next, uint64(1<<32))
	require.EqualValues(t, 3010, server.Stats().RequestsHandled)
	n.drop = nil
	n.settled(server, client)
}

func TestRequestSequencesWrap(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 25)
	server, client, s := pair(n, Config{Slots: 2})
	n.stream(s, 2, 4, 32)
	n.run(10 * time.Millisecond)
	served := muxOf(server.onlyClient()).served[s.index].session
	for i := range s.slots {
		s.slots[i].sequence = 1<<32 - 10
		served.slots[i].sequence = 1<<32 - 10
	}
	n.faults(sim.Faults{Loss: 0.05, Duplicate: 0.2, Jitter: 30 * time.Microsecond})
	n.stream(s, 2, 200, 32)
	require.EqualValues(t, 204, server.Stats().RequestsHandled)
	n.drop = nil
	n.settled(server, client)
}

func TestMessageIdsWrap(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 26)
	server, client, s := pair(n, Config{})
	client.lastID, server.lastID = 1<<32-50, 1<<32-50
	n.faults(sim.Faults{Loss: 0.05})
	n.stream(s, 8, 200, 32)
	n.drop = nil
	n.settled(server, client)
}
