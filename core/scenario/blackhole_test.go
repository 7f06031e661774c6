package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// Requests arrive and responses do not, or the other way round.

func TestABlackholeInOneDirectionThatHealsInTimeIsSurvived(t *testing.T) {
	t.Parallel()
	blackhole(t, func(w *world, server, client *node, s *session, hole *sim.Pipe) {
		calls := mixed(s)
		w.Run(700 * time.Millisecond)
		hole.Down(false)
		w.Run(300 * time.Millisecond)
		server.answer()
		w.complete(time.Second, calls...)
		require.Zero(t, client.Stats().PeersFailed)
	})
}

func TestABlackholeInOneDirectionIsGivenUpOnByBothSides(t *testing.T) {
	t.Parallel()
	blackhole(t, func(w *world, server, client *node, s *session, hole *sim.Pipe) {
		// Who is still heard ends the silence of the other, until it gives up itself.
		w.fail(2100*time.Millisecond, core.Unavailable, mixed(s)...)
		server.answer()
		w.Run(2 * time.Second)
		require.Zero(t, server.Stats().Sessions, "the client no longer keeps it alive")
		hole.Down(false)
		w.complete(time.Second, s.submit(job{size: 5000, reply: 5000}))
	})
}

// blackhole tells a story once for each direction.
func blackhole(t *testing.T, tell func(w *world, server, client *node, s *session, hole *sim.Pipe)) {
	stories(t, 4, func(w *world) {
		cfg := core.Config{KeepAlive: time.Second}
		server, client := w.add("server", cfg), w.add("client", cfg)
		s := client.connect(server)
		w.Run(time.Duration(w.Rand().IntN(500)) * time.Microsecond)
		hole := client.out
		if w.seed%2 == 0 {
			hole = client.in
		}
		hole.Down(true)
		tell(w, server, client, s, hole)
	})
}
