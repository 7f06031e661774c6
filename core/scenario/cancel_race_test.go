package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
)

func TestACancelRacesTheReply(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server := w.add("server", core.Config{Slots: 1}) // the next call is in the same slot
		client := w.add("client", core.Config{})
		s := client.connect(server)
		for _, size := range []int{10, 5000} {
			canceled, won := 0, 0
			for delay := range 40 {
				c := s.submit(job{size: size, reply: size})
				next := s.submit(job{size: size, reply: size})
				w.Run(time.Duration(delay) * 500 * time.Nanosecond)
				c.cancel()
				c.cancel()
				w.done(time.Millisecond, c) // once its request is not read any more
				if c.Err == nil {
					won++
				} else {
					require.ErrorIs(t, c.Err, &core.Error{Code: core.Canceled})
					canceled++
				}
				w.complete(time.Second, next)
				c.cancel() // long since done
			}
			require.NotZero(t, canceled)
			require.NotZero(t, won)
		}
	})
}

func TestACanceledCallOfASlowHandlerFreesItsSlotOnBothSides(t *testing.T) {
	t.Parallel()
	stories(t, 3, func(w *world) {
		server, client := w.add("server", core.Config{Slots: 4}), w.add("client", core.Config{})
		s := client.connect(server)
		for range 20 {
			calls := s.submits(4, job{hold: true, reply: 5000})
			w.Run(time.Millisecond)
			for _, c := range calls {
				c.cancel()
				require.True(t, c.mayHaveRun())
			}
			if w.Rand().IntN(2) == 0 {
				server.answer() // before the cancel comes
			}
			w.complete(time.Second, s.submit(job{reply: 10}))
			server.answer() // too late
		}
		w.Run(10 * time.Millisecond)
		require.Zero(t, server.Stats().RequestsHeld)
	})
}
