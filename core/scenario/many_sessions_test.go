package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
)

func TestTwentyThousandSessionsOnOneEndpoint(t *testing.T) {
	t.Parallel()
	stories(t, 1, func(w *world) {
		const clients, each = 4, 5000
		server := w.add("server", core.Config{})
		var sessions []*session
		for range clients {
			client := w.add("client", core.Config{})
			for range each {
				sessions = append(sessions, client.dial(server))
			}
		}
		w.Rand().Shuffle(len(sessions), func(i, j int) { sessions[i], sessions[j] = sessions[j], sessions[i] })
		var calls []*call
		for _, s := range sessions {
			calls = append(calls, s.submit(job{size: 32, reply: 32}))
		}
		w.complete(time.Second, calls...)
		require.Equal(t, clients*each, server.Stats().Sessions)
		require.Equal(t, clients, server.Stats().Peers)

		before := server.port.Stats().RxPackets
		w.Run(3 * time.Second)
		require.LessOrEqual(t, server.port.Stats().RxPackets-before, uint64(100), "idle sessions cost nothing")

		for _, s := range sessions[:len(sessions)/2] {
			s.Close()
			s.node.host.Kick()
		}
		w.complete(time.Second, sessions[len(sessions)-1].submit(job{}))
		w.Run(10 * time.Millisecond)
		require.Equal(t, clients*each/2, server.Stats().Sessions)
	})
}
