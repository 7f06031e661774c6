package core_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/mem"
	"github.com/peregrine-rpc/peregrine/transport/udp"
)

// rig is a client and a server engine over two transports, driven by turns on one
// goroutine: what a small RPC costs both together.
type rig struct {
	client, server *core.Endpoint
	epoch          time.Time
	calls          []*core.Call
}

func newRig(tb testing.TB, cfg core.Config) *rig {
	a, b := mem.Pair()
	return newRigOver(tb, cfg, a, b)
}

func newRigOver(tb testing.TB, cfg core.Config, a, b transport.Transport) *rig {
	r := &rig{epoch: time.Now().Add(-time.Second)}
	var err error
	r.client, err = core.New(cfg, a, r.now())
	require.NoError(tb, err)
	r.server, err = core.New(cfg, b, r.now())
	require.NoError(tb, err)
	r.server.Handle(1, func(q *core.Request) { q.Reply(q.Data) })
	tb.Cleanup(func() {
		require.NoError(tb, r.client.Close())
		require.NoError(tb, r.server.Close())
	})
	return r
}

func (r *rig) now() time.Duration { return time.Since(r.epoch) }

func (r *rig) turn() {
	r.client.Poll(r.now())
	r.server.Poll(r.now())
}

func (r *rig) connect(tb testing.TB) *core.Session {
	s, err := r.client.Connect(r.server.Transport().LocalAddr())
	require.NoError(tb, err)
	ready := false
	s.Ready(func(err error) { require.NoError(tb, err); ready = true })
	for !ready {
		r.turn()
	}
	return s
}

// load keeps window calls of 32 bytes in flight, spread over sessions, until n
// are done.
func (r *rig) load(tb testing.TB, sessions []*core.Session, window, n int) {
	started, done := 0, 0
	next := 0
	submit := func(c *core.Call) {
		started++
		s := sessions[next]
		if next++; next == len(sessions) {
			next = 0
		}
		s.Submit(c)
	}
	finish := func(c *core.Call) {
		if c.Err != nil {
			tb.Error(c.Err)
		}
		done++
		if started < n {
			submit(c)
		}
	}
	for len(r.calls) < window {
		r.calls = append(r.calls, &core.Call{Method: 1, Request: make([]byte, 32), Buf: make([]byte, 32)})
	}
	for _, c := range r.calls[:min(window, n)] {
		c.Done = finish
		submit(c)
	}
	for done < n {
		r.turn()
	}
}

// controlled is a configuration with a controller and its defaults, by name.
func controlled(tb testing.TB, name string) core.Config {
	algorithm, err := cc.Lookup(name)
	require.NoError(tb, err)
	factory, err := algorithm.New(algorithm.Config())
	require.NoError(tb, err)
	return core.Config{Controller: factory}
}

func BenchmarkSmallRPC(b *testing.B) {
	for _, bench := range []struct {
		name             string
		window, sessions int
		cfg              core.Config
	}{
		{"window=64", 64, 1, core.Config{}},
		{"window=64/uncoalesced", 64, 1, core.Config{NoCoalesce: true}},
		{"window=1", 1, 1, core.Config{}},
		{"window=64/sessions=20000", 64, 20000, core.Config{}},
		{"cc=none", 64, 1, controlled(b, "none")},
		{"cc=timely", 64, 1, controlled(b, "timely")},
		{"cc=swift", 64, 1, controlled(b, "swift")},
		{"cc=dctcp", 64, 1, controlled(b, "dctcp")},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r := newRig(b, bench.cfg)
			var sessions []*core.Session
			for range bench.sessions {
				sessions = append(sessions, r.connect(b))
			}
			r.load(b, sessions, bench.window, max(1000, bench.sessions))
			b.ReportAllocs()
			b.ResetTimer()
			r.load(b, sessions, bench.window, b.N)
		})
	}
}

// BenchmarkControl compares the rates of small RPCs under each controller with
// that under none. Rigs take turns of about a millisecond, so that whatever else
// the host does falls on all alike; ratios are medians over the rounds.
func BenchmarkControl(b *testing.B) {
	const (
		slice  = 1000
		window = 64
	)
	names := []string{"none", "timely", "swift", "dctcp"}
	for _, over := range []struct {
		name string
		pair func() (a, b transport.Transport)
	}{
		{"mem", func() (x, y transport.Transport) { return mem.Pair() }},
		{"udp", func() (x, y transport.Transport) { return loopback(b), loopback(b) }},
	} {
		b.Run(over.name, func(b *testing.B) {
			var rigs []*rig
			var sessions [][]*core.Session
			for _, name := range names {
				x, y := over.pair()
				r := newRigOver(b, controlled(b, name), x, y)
				s := []*core.Session{r.connect(b)}
				r.load(b, s, window, 20*slice)
				rigs, sessions = append(rigs, r), append(sessions, s)
			}
			ratios := make([][]float64, len(rigs))
			took := make([]time.Duration, len(rigs))
			rounds := max(1, b.N/(len(rigs)*slice)) // an operation is an RPC
			b.ResetTimer()
			for round := range rounds {
				for i := range rigs {
					i = (i + round) % len(rigs) // nobody always follows the same one
					began := time.Now()
					rigs[i].load(b, sessions[i], window, slice)
					took[i] = time.Since(began)
				}
				for i := range rigs {
					ratios[i] = append(ratios[i], float64(took[0])/float64(took[i]))
				}
			}
			for i, name := range names[1:] {
				slices.Sort(ratios[i+1])
				b.ReportMetric(ratios[i+1][rounds/2], name+"/none")
			}
		})
	}
}

func loopback(tb testing.TB) transport.Transport {
	cfg := udp.DefaultConfig()
	cfg.Address = "127.0.0.1:0"
	tr, err := udp.Open(cfg, 0, 1)
	require.NoError(tb, err)
	return tr
}
