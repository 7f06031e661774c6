package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
)

// A quarter of the keep-alive may have passed in silence before, and a quarter
// passes until the next probe.
func TestAPartitionOfHalfTheKeepAliveIsJustADelay(t *testing.T) {
	t.Parallel()
	stories(t, 5, func(w *world) {
		cfg := core.Config{KeepAlive: time.Second}
		server, client := w.add("server", cfg), w.add("client", cfg)
		s := client.connect(server)
		var calls []*call
		for range 5 {
			calls = append(calls, mixed(s)...)
			w.Run(time.Duration(w.Rand().IntN(50)) * time.Microsecond)
			client.partition()
			w.Run(450 * time.Millisecond)
			client.heal()
			w.Run(300 * time.Millisecond)
			server.answer()
		}
		w.complete(time.Second, calls...)
		require.Zero(t, client.Stats().PeersFailed+server.Stats().PeersFailed)
	})
}

func TestALongPartitionEndsTheConnectionAndHealingItRestoresService(t *testing.T) {
	t.Parallel()
	stories(t, 5, func(w *world) {
		cfg := core.Config{KeepAlive: time.Second, ConnectTimeout: 500 * time.Millisecond}
		server, client := w.add("server", cfg), w.add("client", cfg)
		s := client.connect(server)
		for range 3 {
			calls := mixed(s)
			w.Run(time.Duration(w.Rand().IntN(50)) * time.Microsecond)
			client.partition()
			w.done(1100*time.Millisecond, calls...)
			w.Run(100 * time.Millisecond)
			require.Zero(t, server.Stats().Peers)
			require.Zero(t, server.Stats().RequestsHeld-len(server.held), "what no handler has is given back")
			w.fail(600*time.Millisecond, core.Unavailable, s.submit(job{}))
			client.heal()
			w.complete(time.Second, s.submit(job{size: 5000, reply: 5000, patient: true}))
			server.answer()
		}
	})
}

func TestCallsThatWaitForASlotOutliveTheConnection(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server := w.add("server", core.Config{KeepAlive: time.Second, Slots: 2})
		client := w.add("client", core.Config{KeepAlive: time.Second, ConnectTimeout: 500 * time.Millisecond})
		s := client.connect(server)
		calls := s.submits(5, job{hold: true})
		started, waiting := calls[:2], calls[2:]
		w.Run(time.Millisecond)
		canceled := 0
		for _, r := range server.held {
			r.Canceled = core.CancelFunc(func() { canceled++ })
		}
		client.partition()
		w.fail(1100*time.Millisecond, core.Unavailable, started...)
		w.Run(100 * time.Millisecond)
		require.Equal(t, len(started), canceled)
		for _, c := range waiting {
			require.False(t, c.done, "it waits for the next connection")
		}
		w.fail(500*time.Millisecond, core.Unavailable, waiting...)
		for _, c := range waiting {
			require.False(t, c.mayHaveRun())
		}
	})
}
