package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// A call may be anywhere when its time is over. The caller always hears of it
// at that moment, and no handler begins after it.

const timeLimit = 10 * time.Millisecond

// expires runs until c has ended, at its deadline.
func (w *world) expires(c *call) {
	w.t.Helper()
	w.fail(time.Second, core.DeadlineExceeded, c)
	require.Equal(w.t, c.Timeout, c.took)
}

// rackOfTwo is a server of few slots, a client, and a session.
func rackOfTwo(w *world) (server, client *node, s *session) {
	server, client = w.add("server", core.Config{Slots: 2}), w.add("client", core.Config{})
	s = client.connect(server)
	w.Run(time.Millisecond)
	return server, client, s
}

func TestADeadlinePassesInTheClientsQueue(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server, _, s := rackOfTwo(w)
		s.submits(2, job{hold: true})
		c := s.submit(job{timeout: timeLimit})
		w.expires(c)
		require.False(t, c.mayHaveRun())
		server.answer()
		w.complete(time.Second, s.submit(job{}))
		require.Zero(t, c.runs)
	})
}

func TestADeadlinePassesBeforeThereIsAConnection(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server, client := w.add("server", core.Config{}), w.add("client", core.Config{})
		server.partition()
		c := client.dial(server).submit(job{timeout: timeLimit})
		w.expires(c)
		require.False(t, c.mayHaveRun())
		server.heal()
		w.Run(time.Second)
		require.Zero(t, c.runs)
	})
}

func TestADeadlinePassesWhileTheNetworkCardTakesNothing(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		_, client, s := rackOfTwo(w)
		client.port.Stuck(true)
		c := s.submit(job{timeout: timeLimit})
		w.expires(c)
		client.port.Stuck(false)
		w.complete(time.Second, s.submit(job{}))
	})
}

func TestADeadlinePassesOnTheWayToTheServer(t *testing.T) {
	t.Parallel()
	stories(t, 4, func(w *world) {
		_, client, s := rackOfTwo(w)
		client.out.Intercept(func(p *sim.Packet) sim.Verdict {
			if carries(p.Data, wire.Request) {
				return sim.Verdict{Delay: 15 * time.Millisecond} // longer than the time limit, which it does not know
			}
			return sim.Verdict{}
		})
		size := []int{10, 5000}[w.seed%2]
		c := s.submit(job{size: size, timeout: timeLimit})
		w.expires(c)
		require.True(t, c.mayHaveRun())
		w.Run(time.Second)
		require.Zero(t, c.runs, "the cancel came first")
	})
}

func TestADeadlinePassesInTheServersReceiveQueue(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server, client, s := rackOfTwo(w)
		server.host.Pause(20 * time.Millisecond)
		lose(client.out, func(data []byte) bool { return carries(data, wire.Cancel) })
		c := s.submit(job{size: 5000, timeout: timeLimit})
		w.expires(c)
		w.Run(time.Second)
		require.LessOrEqual(t, c.runs, 1, "how long it lay there is not known without timestamps")
	})
}

func TestADeadlinePassesAmidALongRequest(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server, client, s := rackOfTwo(w)
		lose(client.out, func(data []byte) bool {
			for _, m := range messages(data) {
				if m.Kind == wire.Request && m.Flags&wire.FlagFragment != 0 && m.Index == 3 {
					return true
				}
			}
			return carries(data, wire.Cancel)
		})
		c := s.submit(job{size: 10_000, timeout: timeLimit})
		w.expires(c)
		require.Equal(t, 1, server.Stats().RequestsHeld)
		client.heal()
		w.Run(time.Second)
		require.Zero(t, c.runs)
		require.Zero(t, server.Stats().ReassemblyBytes)
	})
}

func TestADeadlinePassesInTheHandler(t *testing.T) {
	t.Parallel()
	stories(t, 2, func(w *world) {
		server, _, s := rackOfTwo(w)
		c := s.submit(job{hold: true, timeout: timeLimit})
		w.Run(time.Millisecond)
		r, told := server.held[0], time.Duration(0)
		require.InDelta(t, c.begun+timeLimit, r.Deadline, float64(100*time.Microsecond), "it travels as time left")
		r.Canceled = core.CancelFunc(func() {
			require.Zero(t, told, "told once")
			told = w.Now()
		})
		w.expires(c)
		require.True(t, c.mayHaveRun())
		w.Run(time.Millisecond)
		require.InDelta(t, c.begun+timeLimit, told, float64(100*time.Microsecond))
		require.False(t, r.Peer().IsValid())
	})
}

func TestADeadlinePassesOnTheWayBack(t *testing.T) {
	t.Parallel()
	stories(t, 4, func(w *world) {
		server, _, s := rackOfTwo(w)
		lose(server.out, func(data []byte) bool { return carries(data, wire.Response) })
		c := s.submit(job{reply: []int{10, 5000}[w.seed%2], timeout: timeLimit})
		w.expires(c)
		require.True(t, c.mayHaveRun())
		require.Equal(t, 1, c.runs)
		w.Run(time.Second)
		require.Zero(t, server.Stats().RequestsHeld, "the cancel ended it")
	})
}
