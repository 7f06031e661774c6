package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
)

// mixed makes calls of all sizes on a session, some of which are held.
func mixed(s *session) (calls []*call) {
	for i, size := range []int{0, 50, 1100, 1400, 5000, 100_000} {
		calls = append(calls, s.submit(job{size: size, reply: 100}), s.submit(job{reply: size, hold: i%2 == 0}))
	}
	return calls
}

func TestARestartedServerIsFoundAgain(t *testing.T) {
	t.Parallel()
	stories(t, 20, func(w *world) {
		server, client := w.add("server", core.Config{}), w.add("client", core.Config{})
		s := client.connect(server)
		calls := mixed(s)
		w.Run(time.Duration(w.Rand().IntN(100)) * time.Microsecond)
		server.restart()
		w.done(time.Second, calls...)
		for _, c := range calls {
			if c.Err != nil {
				require.ErrorIs(t, c.Err, &core.Error{Code: core.Unavailable})
			}
		}
		w.complete(time.Second, s.submit(job{size: 10_000, reply: 10_000}))
	})
}

func TestAnIdleClientHearsOfARestartWithinARoundTrip(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server, client := w.add("server", core.Config{}), w.add("client", core.Config{})
		s := client.connect(server)
		w.Run(10 * time.Millisecond)
		roundTrip := s.submit(job{})
		w.complete(time.Second, roundTrip)
		server.restart()
		stale := s.submit(job{})
		w.fail(2*roundTrip.took, core.Unavailable, stale)
		require.Zero(t, stale.runs)
		require.EqualValues(t, 1, client.Stats().ResetsTaken)
	})
}

func TestARestartedClientIsServedAndItsFormerSelfForgotten(t *testing.T) {
	t.Parallel()
	stories(t, 20, func(w *world) {
		server, client := w.add("server", core.Config{KeepAlive: time.Second}), w.add("client", core.Config{})
		mixed(client.connect(server))
		w.Run(time.Duration(w.Rand().IntN(100)) * time.Microsecond)
		client.restart()
		s := client.connect(server)
		w.complete(time.Second, s.submit(job{size: 10_000, reply: 10_000}))
		w.Run(2 * time.Second)
		require.Equal(t, 1, server.Stats().Peers)
		require.Equal(t, 1, server.Stats().Sessions)
	})
}

func TestBothSidesRestartAtOnce(t *testing.T) {
	t.Parallel()
	stories(t, 20, func(w *world) {
		cfg := core.Config{KeepAlive: time.Second}
		a, b := w.add("a", cfg), w.add("b", cfg)
		there, back := a.connect(b), b.connect(a) // each is the other's server
		mixed(there)
		mixed(back)
		w.Run(time.Duration(w.Rand().IntN(100)) * time.Microsecond)
		a.kill()
		b.kill()
		w.Run(time.Duration(w.Rand().IntN(2)) * time.Second)
		a.start()
		b.start()
		there, back = a.dial(b), b.dial(a)
		w.complete(time.Second, there.submit(job{size: 10_000}), back.submit(job{reply: 10_000}))
		w.Run(2 * time.Second)
		for _, n := range w.nodes {
			require.Equal(t, 2, n.Stats().Peers, "one each way")
			require.Equal(t, 1, n.Stats().Sessions)
		}
	})
}
