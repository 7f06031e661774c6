package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

func TestAServerThatIsSlowerThanItsClientsServesThemAll(t *testing.T) {
	t.Parallel()
	stories(t, 3, func(w *world) {
		w.host = sim.HostConfig{PacketCost: 10 * time.Microsecond, RecvBuffer: 256 << 10}
		server := w.add("server", core.Config{Slots: 16})
		w.host = sim.HostConfig{}
		var calls []*call
		for range 8 {
			s := w.add("client", core.Config{}).connect(server)
			calls = append(calls, s.submits(200, job{size: 500, reply: 500})...)
		}
		w.complete(time.Second, calls...)
		for _, n := range w.nodes {
			require.Zero(t, n.Stats().PeersFailed)
		}
		require.Zero(t, server.port.Stats().RxOverflow, "clients respect its receive window")
	})
}

func TestAHandlerThatStopsAnsweringStopsNewCallsAndNothingElse(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server := w.add("server", core.Config{Slots: 4})
		client := w.add("client", core.Config{Queue: 10})
		busy, other := client.connect(server), client.connect(server)
		held := busy.submits(14, job{size: 3000, hold: true, reply: 100})
		w.fail(time.Second, core.ResourceExhausted, busy.submit(job{}))
		w.complete(time.Second, other.stream(4, 100, job{size: 100})...)
		require.Len(t, server.held, 4)
		w.Run(time.Minute) // waiting is no failure
		require.Equal(t, 4, server.Stats().RequestsHeld)
		require.InEpsilon(t, 4*3000, server.Stats().ReassemblyBytes, 0.25)
		for len(server.held) > 0 {
			server.answer()
			w.Run(time.Millisecond)
		}
		w.complete(time.Second, held...)
	})
}

func TestARequestOutlivesItsSessionWhileAHandlerHasIt(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server, client := w.add("server", core.Config{}), w.add("client", core.Config{})
		s := client.connect(server)
		calls := s.submits(4, job{size: 3000, hold: true})
		w.Run(time.Millisecond)
		s.Close()
		client.host.Kick()
		w.fail(time.Millisecond, core.Canceled, calls...)
		w.Run(time.Millisecond)
		require.Zero(t, server.Stats().Sessions)
		require.InEpsilon(t, 4*3000, server.Stats().ReassemblyBytes, 0.25)
		server.answer()
		require.Zero(t, server.Stats().ReassemblyBytes)
	})
}
