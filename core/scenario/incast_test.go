package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core"
)

// controllers tells a story with each congestion controller.
func controllers(t *testing.T, tell func(t *testing.T, controller cc.Factory)) {
	for _, name := range cc.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			algorithm, err := cc.Lookup(name)
			require.NoError(t, err)
			controller, err := algorithm.New(algorithm.Config())
			require.NoError(t, err)
			tell(t, controller)
		})
	}
}

func TestIncastOverflowsTheQueueAndRecovers(t *testing.T) {
	t.Parallel()
	controllers(t, func(t *testing.T, controller cc.Factory) {
		stories(t, 2, func(w *world) {
			cfg := core.Config{Controller: controller}
			w.cable.QueueBytes, w.cable.MarkBytes = 60_000, 20_000 // about 40 datagrams
			server := w.add("server", cfg)
			var calls []*call
			for range 16 {
				s := w.add("client", cfg).connect(server)
				calls = append(calls, s.submits(4, job{size: 64_000, reply: 64_000})...)
			}
			w.complete(10*time.Second, calls...)
			require.NotZero(t, server.in.Stats().Overflows)
			require.NotZero(t, server.in.Stats().Marked)
			for _, n := range w.nodes {
				require.Zero(t, n.Stats().PeersFailed)
			}
		})
	})
}

func TestAReceiveBufferThatOverflowsRecovers(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		w.host.RecvBuffer, w.host.PacketCost = 32<<10, 2*time.Microsecond
		server := w.add("server", core.Config{})
		w.host.RecvBuffer, w.host.PacketCost = 0, 0
		var calls []*call
		for range 8 { // each fills half of it
			s := w.add("client", core.Config{}).connect(server)
			calls = append(calls, s.submits(4, job{size: 64_000})...)
		}
		w.complete(10*time.Second, calls...)
		require.NotZero(t, server.port.Stats().RxOverflow)
	})
}
