package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
)

// jumbo is a rack whose cables carry 9000 bytes, but for one that path changes.
func jumbo(w *world, cfg core.Config) (server, client *node, s *session) {
	w.cable.MTU = 9000
	server, client = w.add("server", cfg), w.add("client", cfg)
	s = client.connect(server)
	w.Run(time.Millisecond)
	return server, client, s
}

func (n *node) setMTU(mtu int) {
	n.in.SetMTU(mtu)
	n.out.SetMTU(mtu)
}

func TestAPathThatShrinksAmidTransfersStillCarriesThem(t *testing.T) {
	t.Parallel()
	stories(t, 3, func(w *world) {
		server, client, s := jumbo(w, core.Config{})
		require.Equal(t, 8972, s.MTU())
		calls := s.stream(8, 20, job{size: 50_000, reply: 50_000})
		w.Run(time.Duration(w.Rand().IntN(50)) * time.Microsecond)
		server.setMTU(1500)
		calls = append(calls, s.stream(8, 20, job{size: 5000, reply: 5000})...)
		w.complete(time.Second, calls...)
		require.LessOrEqual(t, s.MTU(), 1472)
		require.EqualValues(t, 1, client.Stats().MTUReductions)
		require.Zero(t, client.Stats().PeersFailed)
	})
}

func TestAPathThatShrinksInOneDirectionShrinksThatOneOnly(t *testing.T) {
	t.Parallel()
	stories(t, 3, func(w *world) {
		server, client, s := jumbo(w, core.Config{})
		client.in.SetMTU(1500)
		w.complete(time.Second, s.stream(8, 20, job{size: 50_000, reply: 50_000})...)
		require.Equal(t, 8972, s.MTU())
		require.Zero(t, client.Stats().MTUReductions)
		require.EqualValues(t, 1, server.Stats().MTUReductions)
	})
}

func TestAPathThatGrowsIsFoundOut(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		w.cable.MTU = 9000
		server, client := w.add("server", core.Config{}), w.add("client", core.Config{})
		server.setMTU(1500)
		s := client.connect(server)
		w.complete(time.Second, s.submit(job{size: 50_000, reply: 50_000}))
		require.Equal(t, 1472, s.MTU())
		server.setMTU(9000)
		w.Run(11 * time.Minute)
		require.Equal(t, 8972, s.MTU())
		before := client.Stats().TxMessages
		w.complete(time.Second, s.submit(job{size: 50_000}))
		require.LessOrEqual(t, client.Stats().TxMessages-before, uint64(6), "in large fragments")
	})
}
