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
			w.complete(time.Second, s.submit(job{size: 5000, reply: 5000}))
			server.answer()
		}
	})
}
