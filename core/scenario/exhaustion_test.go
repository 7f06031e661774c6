package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestCallsWaitForSlotsInOrderUntilTheQueueIsFull(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server, client := w.add("server", core.Config{Slots: 3}), w.add("client", core.Config{Slots: 50, Queue: 20})
		s := client.connect(server)
		calls := s.submits(23, job{hold: true, reply: 10})
		over := s.submits(5, job{})
		w.fail(time.Millisecond, core.ResourceExhausted, over...)
		for _, c := range over {
			require.False(t, c.mayHaveRun())
		}
		for first := 0; first < len(calls); first += 3 {
			w.Run(time.Millisecond)
			require.Equal(t, min(first+3, len(calls)), runs(calls...), "as many as there are slots, the oldest first")
			server.answer()
		}
		w.complete(time.Second, calls...)
	})
}

func TestCreditsBoundWhatAServerHasNotAcknowledged(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server, client := w.add("server", core.Config{Credits: 4}), w.add("client", core.Config{})
		s := client.connect(server)
		w.Run(time.Millisecond)
		var sent, acked, most uint32
		client.out.Intercept(func(p *sim.Packet) sim.Verdict {
			var h wire.Header
			if _, err := h.Parse(p.Data); err == nil && h.Type == wire.Data {
				sent = max(sent, h.Number)
				most = max(most, sent-acked)
			}
			return sim.Verdict{}
		})
		server.out.Intercept(func(p *sim.Packet) sim.Verdict {
			var h wire.Header
			if _, err := h.Parse(p.Data); err == nil && h.Acks.Words > 0 {
				acked = max(acked, h.Acks.Largest)
			}
			return sim.Verdict{}
		})
		w.complete(time.Second, s.submit(job{})) // so that acked is known
		most = 0
		w.complete(time.Second, s.submits(20, job{size: 20_000, reply: 20_000})...)
		require.EqualValues(t, 4, most)
	})
}

func TestAllCreditsLostAtOnceComeBack(t *testing.T) {
	t.Parallel()
	stories(t, 3, func(w *world) {
		server, client := w.add("server", core.Config{Credits: 4}), w.add("client", core.Config{})
		s := client.connect(server)
		for range 10 {
			client.out.Down(true)
			calls := s.submits(10, job{size: 3000})
			w.Run(time.Duration(w.Rand().IntN(5000)) * time.Microsecond)
			client.out.Down(false)
			w.complete(time.Second, calls...)
		}
	})
}

func TestAWindowOfOneDatagramStillMoves(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		cfg := core.Config{Controller: cc.None(1)}
		server, client := w.add("server", cfg), w.add("client", cfg)
		s := client.connect(server)
		server.faults(sim.Faults{Loss: 0.05})
		w.complete(10*time.Second, s.submits(20, job{size: 10_000, reply: 10_000})...)
	})
}

func TestMemoryForRequestsRunsOutAndComesBack(t *testing.T) {
	t.Parallel()
	stories(t, 3, func(w *world) {
		cfg := core.Config{Requests: 20, MaxMessage: 100_000, ReassemblyMemory: 250_000}
		server, client := w.add("server", cfg), w.add("client", core.Config{})
		s := client.connect(server)
		calls := s.submits(10, job{size: 90_000, hold: true})
		calls = append(calls, s.submits(30, job{hold: true})...)
		w.Run(100 * time.Millisecond)
		refused := 0
		for _, c := range calls {
			if c.done {
				require.ErrorIs(t, c.Err, &core.Error{Code: core.ResourceExhausted})
				require.False(t, c.mayHaveRun())
				refused++
			}
		}
		require.Equal(t, 18, len(server.held), "of 20, two are left for others")
		require.Equal(t, 22, refused)
		require.LessOrEqual(t, server.Stats().ReassemblyBytes, int64(250_000))
		server.answer()
		w.Run(10 * time.Millisecond)
		w.complete(time.Second, s.submits(2, job{size: 90_000})...)
	})
}
