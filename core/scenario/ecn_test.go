package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// witness is a controller that does nothing but count.
type witness struct {
	cc.Controller
	marks int
}

func (c *witness) Acked(a cc.Ack) { c.marks += a.CE }

func (c *witness) factory(p cc.Path) cc.Controller {
	c.Controller = cc.None(cc.DefaultWindow)(p)
	return c
}

func TestEachMarkOnTheWayIsReportedOnce(t *testing.T) {
	t.Parallel()
	stories(t, 3, func(w *world) {
		var seen witness
		w.cable.Rate, w.cable.MarkBytes = 5e9, 30_000
		server := w.add("server", core.Config{})
		w.cable.Rate = 25e9
		client := w.add("client", core.Config{Controller: seen.factory})
		s := client.connect(server)
		client.in.SetFaults(sim.Faults{Loss: 0.05, Jitter: 20 * time.Microsecond}) // of the reports
		w.complete(time.Second, s.stream(4, 30, job{size: 100_000})...)
		w.within(time.Second, func() bool { return seen.marks >= int(server.in.Stats().Marked) })
		w.Run(time.Second)
		require.NotZero(t, seen.marks)
		require.EqualValues(t, server.in.Stats().Marked, seen.marks)
	})
}
