package scenario_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
)

func TestAPauseShorterThanTheKeepAliveIsJustADelay(t *testing.T) {
	t.Parallel()
	stories(t, 6, func(w *world) {
		cfg := core.Config{KeepAlive: time.Second}
		server, client := w.add("server", cfg), w.add("client", cfg)
		s := client.connect(server)
		for range 5 {
			calls := s.submits(20, job{size: 3000, reply: 3000})
			w.Run(time.Duration(w.Rand().IntN(30)) * time.Microsecond)
			w.nodes[w.seed%2].host.Pause(700 * time.Millisecond)
			w.complete(time.Second, calls...)
		}
		require.Zero(t, client.Stats().PeersFailed+server.Stats().PeersFailed)
	})
}

// What came during a pause is many bursts: who is last in it has not been silent.
func TestAServerThatWasPausedHearsAllItsClientsBeforeItGivesUpAny(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server := w.add("server", core.Config{KeepAlive: time.Second})
		var clients []*node
		for i := range 200 {
			clients = append(clients, w.add(fmt.Sprintf("client %d", i), core.Config{KeepAlive: time.Minute}))
			clients[i].connect(server)
		}
		for range 5 {
			w.Run(2*time.Second + time.Duration(w.Rand().IntN(250))*time.Millisecond) // they break their silence now and then
			server.host.Pause(950 * time.Millisecond)
		}
		w.Run(2 * time.Second)
		require.Zero(t, server.Stats().PeersFailed)
		for _, c := range clients {
			require.Zero(t, c.Stats().PeersFailed)
		}
	})
}

func TestAServerPausedForLongerThanTheKeepAliveComesBack(t *testing.T) {
	t.Parallel()
	stories(t, 6, func(w *world) {
		cfg := core.Config{KeepAlive: time.Second, ConnectTimeout: 10 * time.Second}
		server, client := w.add("server", cfg), w.add("client", cfg)
		s := client.connect(server)
		lost := s.submits(20, job{size: 3000, reply: 3000})
		w.Run(2 * time.Microsecond) // the requests are on their way
		server.host.Pause(3 * time.Second)
		w.fail(1100*time.Millisecond, core.Unavailable, lost...)
		w.complete(5*time.Second, s.submits(20, job{size: 3000, reply: 3000})...)
		w.Run(2 * time.Second)
		require.Equal(t, 1, server.Stats().Peers, "the former connection is forgotten")
	})
}

func TestAClientPausedForLongerThanTheKeepAliveIsToldAndReconnects(t *testing.T) {
	t.Parallel()
	stories(t, 6, func(w *world) {
		cfg := core.Config{KeepAlive: time.Second}
		server, client := w.add("server", cfg), w.add("client", cfg)
		s := client.connect(server)
		s.submits(20, job{size: 3000, reply: 3000})
		w.Run(time.Duration(w.Rand().IntN(30)) * time.Microsecond)
		client.host.Pause(3 * time.Second)
		w.Run(2 * time.Second)
		require.Zero(t, server.Stats().Peers)
		require.Zero(t, server.Stats().RequestsHeld)
		w.Run(1100 * time.Millisecond)
		w.complete(time.Second, s.submits(20, job{size: 3000, reply: 3000})...)
	})
}
