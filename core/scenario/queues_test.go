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

// queues gives a node several endpoints, each on a queue of one port, which
// hand each other what does not belong to them.
func (n *node) queues(count int, steer sim.Steering) (all []*core.Endpoint) {
	w := n.world
	n.host.Kill()
	ports := n.host.OpenQueues(1, count, steer)
	shared := w.fresh(n.cfg) // so that each takes the cookies of the others
	for queue, port := range ports {
		cfg := shared
		cfg.Misrouted = func(to int, rx *transport.RxPacket) {
			copied := *rx
			copied.Data = bytes.Clone(rx.Data)
			w.At(w.Now(), func() {
				for other, e := range all {
					if other != queue && (other == to || to < 0) {
						e.Advance(w.Now())
						e.Inject(&copied)
						ports[other].Wake()
					}
				}
			})
		}
		e, err := core.New(cfg, port, w.Now())
		require.NoError(w.t, err)
		all = append(all, e)
		n.Endpoint, n.port = e, port
		n.serve()
		n.host.Run(e, port)
	}
	return all
}

func TestSeveralQueuesOfOneAddress(t *testing.T) {
	t.Parallel()
	stories(t, 4, func(w *world) {
		server := w.add("server", core.Config{})
		queues := server.queues(4, []sim.Steering{sim.ByFlow, sim.AtRandom}[w.seed%2])
		var calls []*call
		for range 8 {
			s := w.add("client", core.Config{}).connect(server)
			calls = append(calls, s.stream(8, 25, job{size: 100, reply: 3000})...)
			calls = append(calls, s.stream(2, 5, job{size: 30_000})...)
		}
		w.complete(time.Second, calls...)
		var sum core.Stats
		for _, e := range queues {
			st := e.Stats()
			sum.Add(&st)
		}
		require.EqualValues(t, len(calls), sum.RequestsHandled)
		require.Equal(t, 8, sum.Peers, "each client has one connection, to the queue that its Hello came to")
		require.Zero(t, sum.ResetsSent)
		require.Equal(t, w.seed%2 == 1, sum.RxMisrouted > 0)
	})
}

func TestAServerThatRestartsWithFewerQueuesSaysSo(t *testing.T) {
	t.Parallel()
	stories(t, 4, func(w *world) {
		server := w.add("server", core.Config{})
		server.queues(8, sim.ByFlow)
		var sessions []*session
		for range 8 {
			sessions = append(sessions, w.add("client", core.Config{}).connect(server))
		}
		w.Run(10 * time.Millisecond) // all is quiet
		server.queues(2, sim.ByFlow)
		for _, s := range sessions {
			w.fail(10*time.Millisecond, core.Unavailable, s.submit(job{size: 100}))
			w.complete(time.Second, s.submit(job{size: 100}))
		}
	})
}
