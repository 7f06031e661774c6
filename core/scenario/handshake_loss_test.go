package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestEachDatagramOfAHandshakeMayBeLost(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		for _, lost := range []wire.Type{wire.Hello, wire.Retry, wire.Accept} {
			for times := range 4 {
				server, client := w.add("server", core.Config{}), w.add("client", core.Config{})
				of := func(data []byte) bool { return is(data, lost) }
				loseFirst(client.out, times, of)
				loseFirst(client.in, times, of)
				s := client.dial(server)
				w.complete(time.Second, s.submits(3, job{size: 100, reply: 100})...)
				require.Equal(t, 1, server.Stats().Peers, "one connection, however often it was asked for")
			}
		}
	})
}

func TestACrowdConnectsThroughAWireThatLosesAndRepeats(t *testing.T) {
	t.Parallel()
	stories(t, 5, func(w *world) {
		server := w.add("server", core.Config{})
		// The jitter is longer than it takes a client to ask again.
		server.faults(sim.Faults{Loss: 0.3, Duplicate: 0.3, Jitter: 30 * time.Millisecond})
		var calls []*call
		for range 30 {
			client := w.add("client", core.Config{ConnectTimeout: 30 * time.Second})
			calls = append(calls, client.dial(server).submit(job{reply: 2000}))
		}
		w.complete(time.Minute, calls...)
		// Some fell silent since, and a Hello that came again late counts as well.
		st := server.Stats()
		require.GreaterOrEqual(t, st.Peers+int(st.PeersFailed), 30)
	})
}

func TestAServerThatIsAskedAgainAndAgainKnowsThatItsClientIsThere(t *testing.T) {
	t.Parallel()
	stories(t, 1, func(w *world) {
		server, client := w.add("server", core.Config{KeepAlive: 290 * time.Millisecond}), w.add("client", core.Config{})
		loseFirst(server.out, 3, func(data []byte) bool { return is(data, wire.Accept) })
		c := client.dial(server).submit(job{})
		w.within(time.Second, func() bool { return server.out.Stats().Intercepted == 3 })
		loseFirst(client.out, 4, func(data []byte) bool { return is(data, wire.Data) }) // the call among them
		w.complete(time.Second, c)
	})
}

func TestAHandshakeThatNobodyAnswersIsGivenUp(t *testing.T) {
	t.Parallel()
	stories(t, 1, func(w *world) {
		server, client := w.add("server", core.Config{}), w.add("client", core.Config{ConnectTimeout: time.Second})
		server.kill()
		c := client.dial(server).submit(job{})
		w.fail(1100*time.Millisecond, core.Unavailable, c)
		require.False(t, c.mayHaveRun())
		require.Less(t, client.out.Stats().Packets, uint64(12), "it asks less and less often")
		server.start()
	})
}
