package scenario_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

func TestARequestThatArrivesAgainAndAgainExecutesOnce(t *testing.T) {
	t.Parallel()
	stories(t, 5, func(w *world) {
		server, client := w.add("server", core.Config{Slots: 8}), w.add("client", core.Config{})
		s := client.connect(server)
		// Responses are lost as well, so that requests are also sent again.
		client.out.SetFaults(sim.Faults{Duplicate: 0.7, Jitter: 100 * time.Microsecond})
		server.out.SetFaults(sim.Faults{Loss: 0.3, Duplicate: 0.3, Jitter: 100 * time.Microsecond})
		calls := s.stream(16, 400, job{size: 100, reply: 100})
		calls = append(calls, s.stream(4, 40, job{size: 5000, reply: 5000})...)
		w.complete(10*time.Second, calls...)
		require.EqualValues(t, len(calls), server.Stats().RequestsHandled)
		require.NotZero(t, server.Stats().RxDuplicate)
		require.NotZero(t, server.Stats().RequestsDuplicate)
	})
}

func TestDatagramsRecordedAndPlayedBackMuchLaterDoNothing(t *testing.T) {
	t.Parallel()
	stories(t, 3, func(w *world) {
		server, client := w.add("server", core.Config{}), w.add("client", core.Config{})
		var tape [][]byte
		client.out.Intercept(func(p *sim.Packet) sim.Verdict {
			tape = append(tape, bytes.Clone(p.Data))
			return sim.Verdict{}
		})
		first := client.connect(server)
		w.complete(time.Second, first.stream(8, 300, job{size: 100, reply: 100})...)
		w.complete(time.Second, first.stream(2, 5, job{size: 50_000})...)
		client.out.Intercept(nil)
		replay := func() {
			before, resets := server.Stats(), client.Stats().ResetsTaken
			w.Rand().Shuffle(len(tape), func(i, j int) { tape[i], tape[j] = tape[j], tape[i] })
			for _, data := range tape {
				server.port.Deliver(client.port.LocalAddr(), data, transport.NotECT)
			}
			w.Run(6 * time.Second) // a Hello whose cookie is still good opens a connection, or begins a handshake, that nobody keeps alive
			require.Equal(t, before.RequestsHandled, server.Stats().RequestsHandled)
			require.Equal(t, before.Peers, server.Stats().Peers)
			require.Equal(t, resets, client.Stats().ResetsTaken)
		}
		replay() // to the same connection
		second := client.connect(server)
		first.Close()
		client.host.Kick()
		w.complete(time.Second, second.submit(job{size: 100}))
		replay() // to the next session
		second.Close()
		client.host.Kick()
		w.Run(time.Millisecond)
		require.Zero(t, server.Stats().Peers)
		third := client.connect(server)
		w.complete(time.Second, third.submit(job{size: 100})) // its server knows of it, too
		replay()                                              // to the next connection
		w.complete(time.Second, third.submit(job{size: 100}))
		server.restart()
		w.fail(time.Second, core.Unavailable, third.submit(job{}))
		w.complete(time.Second, third.submit(job{}))
		replay() // to the next process
	})
}
