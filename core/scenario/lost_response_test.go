package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestAResponseLostManyTimesArrivesAndItsHandlerRanOnce(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		for _, size := range []int{0, 1000, 10_000} {
			for times := range 9 {
				server, client := w.add("server", core.Config{}), w.add("client", core.Config{})
				s := client.connect(server)
				w.Run(time.Millisecond)
				loseFirst(server.out, times, func(data []byte) bool { return carries(data, wire.Response) })
				c := s.submit(job{reply: size})
				w.complete(3*time.Second, c)
				require.EqualValues(t, 1, server.Stats().RequestsHandled)
				require.GreaterOrEqual(t, server.Stats().Retransmits, uint64(times))
				require.Zero(t, client.Stats().PeersFailed)
			}
		}
	})
}

func TestResponsesThatAreLostDoNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	stories(t, 3, func(w *world) {
		server, client := w.add("server", core.Config{NoCoalesce: true}), w.add("client", core.Config{})
		s := client.connect(server)
		lose(server.out, func(data []byte) bool {
			for _, m := range messages(data) {
				if m.Kind == wire.Response && m.Slot == 0 {
					return true
				}
			}
			return false
		})
		unlucky := s.submit(job{reply: 10})
		w.complete(time.Second, s.stream(8, 500, job{reply: 100})...)
		require.False(t, unlucky.done)
		server.heal()
		w.complete(time.Second, unlucky)
	})
}
