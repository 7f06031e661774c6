package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

func TestAPathThatReordersIsLearntAndCostsLittle(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server, client := w.add("server", core.Config{}), w.add("client", core.Config{})
		s := client.connect(server)
		client.faults(sim.Faults{Reorder: 0.1, ReorderDelay: 20 * time.Microsecond})
		w.complete(time.Second, s.stream(4, 40, job{size: 20_000, reply: 20_000})...) // to learn
		before := client.Stats()
		w.complete(time.Second, s.stream(4, 100, job{size: 20_000, reply: 20_000})...)
		after := client.Stats()
		sent, again := after.TxMessages-before.TxMessages, after.Retransmits-before.Retransmits
		require.Less(t, again, sent/50, "retransmitted of %d, though nothing was lost", sent)
		require.NotZero(t, client.out.Stats().Reordered)
	})
}

func TestFragmentsInAnyOrderMakeTheMessage(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server, client := w.add("server", core.Config{}), w.add("client", core.Config{})
		s := client.connect(server)
		client.faults(sim.Faults{Jitter: time.Millisecond, Loss: 0.02, Duplicate: 0.1})
		w.complete(10*time.Second, s.submits(5, job{size: 200_000, reply: 200_000})...)
	})
}
