package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// The counters of 16 bits, run all the way round. Those of 32 are in core's own
// tests, which can begin near the end.

func TestTheCountOfMarksWraps(t *testing.T) {
	t.Parallel()
	stories(t, 1, func(w *world) {
		var seen witness
		server, client := w.add("server", core.Config{}), w.add("client", core.Config{Controller: seen.factory})
		s := client.connect(server)
		marked := 0
		client.out.Intercept(func(p *sim.Packet) sim.Verdict {
			if is(p.Data, wire.Data) {
				p.ECN = transport.CE
				marked++
			}
			return sim.Verdict{}
		})
		for marked < 1<<16+100 {
			w.complete(time.Second, s.stream(4, 100, job{size: 28_000})...)
		}
		w.Run(10 * time.Millisecond)
		require.Equal(t, marked, seen.marks)
	})
}

func TestTheGenerationsOfASessionIndexWrap(t *testing.T) {
	t.Parallel()
	stories(t, 1, func(w *world) {
		server, client := w.add("server", core.Config{}), w.add("client", core.Config{})
		lasting := client.connect(server)
		for round := range 1<<16 + 100 {
			s := client.dial(server) // always of the same index
			if round%500 == 0 || round > 1<<16 {
				w.complete(time.Second, s.submit(job{}))
				require.LessOrEqual(t, server.Stats().Sessions, 2)
			}
			s.Close()
			client.host.Kick()
			if round%50 == 0 {
				w.Run(50 * time.Microsecond)
			}
		}
		w.complete(time.Second, lasting.submit(job{}))
	})
}

func TestConnectionIndexesAreUsedAgain(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server, client := w.add("server", core.Config{}), w.add("client", core.Config{})
		var old [][]byte // requests of former connections
		client.out.Intercept(func(p *sim.Packet) sim.Verdict {
			var h wire.Header
			if _, err := h.Parse(p.Data); err == nil && h.Type == wire.Data {
				require.Less(t, h.Connection, uint32(2))
			}
			if carries(p.Data, wire.Request) {
				old = append(old, append([]byte(nil), p.Data...))
			}
			return sim.Verdict{}
		})
		for range 100 {
			s := client.connect(server)
			for _, data := range old {
				server.port.Deliver(client.port.LocalAddr(), data, transport.NotECT)
			}
			w.complete(time.Second, s.submit(job{size: 100}))
			s.Close()
			client.host.Kick()
			w.Run(time.Millisecond)
		}
		require.EqualValues(t, 100, server.Stats().RequestsHandled)
		require.Zero(t, client.Stats().ResetsTaken)
	})
}
