package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// The counters of 32 bits, from near their end; packet numbers are core/packet's.
// Those of 16 are run all the way round in core/scenario.

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
