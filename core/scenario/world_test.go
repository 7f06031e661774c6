package scenario_test

import (
	"encoding/binary"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

var onlySeed = flag.Uint64("scenario.seed", 0, "tell every story in the world of this seed alone")

// world is a rack: nodes under one switch.
type world struct {
	*sim.Network
	t    *testing.T
	seed uint64
	// cable and host are what the nodes that are added next get.
	cable sim.LinkConfig
	host  sim.HostConfig

	tor    *sim.Switch
	nodes  []*node
	births uint64 // of endpoints
	calls  []*call
	note   func(format string, args ...any) // is told what happens, for traces
}

// stories tells a story in the worlds of seeds 1 to count, and in each makes
// sure that it ended well.
func stories(t *testing.T, count uint64, tell func(w *world)) {
	t.Helper()
	if testing.Short() { // to look for races, of which a story in virtual time has no other with another seed
		count = 1
	}
	first, last := uint64(1), count
	if *onlySeed != 0 {
		first, last = *onlySeed, *onlySeed
	}
	for seed := first; seed <= last; seed++ {
		w := newWorld(t, seed)
		func() {
			ended := false
			defer func() {
				if !ended || t.Failed() {
					name := strings.ReplaceAll(t.Name(), "/", "$/^")
					t.Logf("replay: go test ./core/scenario -run '^%s$' -scenario.seed=%d", name, seed)
				}
			}()
			tell(w)
			w.endsWell()
			ended = true
		}()
	}
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{Network: sim.New(seed), t: t, seed: seed, note: func(string, ...any) {}}
	w.tor = w.Switch("tor")
	w.cable = sim.LinkConfig{Rate: 25e9, Delay: time.Microsecond, QueueBytes: 1 << 20, MarkBytes: 100 << 10}
	return w
}

// node is a host, its cable, and the endpoint that runs there.
type node struct {
	*core.Endpoint
	world   *world
	cfg     core.Config
	host    *sim.Host
	out, in *sim.Pipe // of its cable
	port    *sim.Port
	held    []*core.Request // deferred and not answered
}

// add makes a node; all serve.
func (w *world) add(name string, cfg core.Config) *node {
	n := &node{world: w, cfg: cfg, host: w.Host(name, w.host)}
	cable := w.Link(n.host, w.tor, w.cable)
	n.out, n.in = cable.Toward(w.tor), cable.Toward(n.host)
	w.nodes = append(w.nodes, n)
	n.start()
	return n
}

// start runs an endpoint, as a new process does.
func (n *node) start() {
	w := n.world
	n.port = n.host.Open(1)
	e, err := core.New(w.fresh(n.cfg), n.port, w.Now())
	require.NoError(w.t, err)
	n.Endpoint = e
	n.serve()
	n.host.Run(e, n.port)
}

// fresh is cfg with a seed of its own.
func (w *world) fresh(cfg core.Config) core.Config {
	w.births++
	binary.LittleEndian.PutUint64(cfg.Seed[:], w.seed)
	binary.LittleEndian.PutUint64(cfg.Seed[8:], w.births)
	cfg.Security = secure(w.t, w.t.Name(), cfg.Seed)
	return cfg
}

// kill ends the process without a word. Nobody hears of its calls any more.
func (n *node) kill() {
	n.host.Kill()
	n.held = nil
	for _, c := range n.world.calls {
		c.orphan = c.orphan || c.session.node == n && !c.done
	}
}

func (n *node) restart() {
	n.kill()
	n.start()
}

// partition cuts the node off; heal undoes all that was done to its cable.
func (n *node) partition() {
	n.out.Down(true)
	n.in.Down(true)
}

func (n *node) heal() {
	for _, p := range []*sim.Pipe{n.out, n.in} {
		p.Down(false)
		p.SetFaults(sim.Faults{})
		p.Intercept(nil)
	}
}

// faults befall both directions.
func (n *node) faults(f sim.Faults) {
	n.out.SetFaults(f)
	n.in.SetFaults(f)
}

// session is a session and whose it is.
type session struct {
	*core.Session
	node *node
}

// dial opens a session and does not wait for the connection.
func (n *node) dial(to *node) *session {
	n.Advance(n.world.Now())
	s, err := n.Connect(to.port.LocalAddr())
	require.NoError(n.world.t, err)
	n.host.Kick()
	return &session{s, n}
}

// connect opens a session and waits for the connection.
func (n *node) connect(to *node) *session {
	n.world.t.Helper()
	s := n.dial(to)
	ready := false
	s.Ready(func(err error) {
		require.NoError(n.world.t, err)
		ready = true
	})
	n.host.Kick()
	n.world.within(time.Minute, func() bool { return ready })
	return s
}

// within runs until cond holds, which may take so much virtual time.
func (w *world) within(limit time.Duration, cond func() bool) {
	w.t.Helper()
	require.NoError(w.t, w.Until(limit, cond))
}

// endsWell heals the world, lets all calls end, and checks that nothing is left.
func (w *world) endsWell() {
	w.t.Helper()
	for _, n := range w.nodes {
		n.heal()
		n.host.Resume()
		n.port.Stuck(false)
		n.answer()
	}
	w.within(time.Minute, func() bool {
		for _, n := range w.nodes {
			n.answer()
		}
		return w.ended()
	})
	w.Run(5 * time.Second)
	w.check()
	for _, n := range w.nodes {
		st := n.Stats()
		require.NoError(w.t, n.host.Err())
		require.Zero(w.t, st.RequestsHeld, "%s still holds requests", n.host.Name())
		require.Zero(w.t, st.ReassemblyBytes, "%s still assembles requests", n.host.Name())
		require.Equal(w.t, st.CallsStarted, st.CallsSucceeded+st.CallsFailed, "%s has calls under way", n.host.Name())
	}
}
