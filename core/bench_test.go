package core_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/core/packet/psk"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/mem"
	"github.com/peregrine-rpc/peregrine/transport/udp"
)

// rig is a client and a server engine over two transports, driven by turns on one
// goroutine: what a small RPC costs both together.
type rig struct {
	client, server *core.Endpoint
	epoch          time.Time
	upload         int // bytes of each request; 0: echoes of 32
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
	r.server.Handle(1, func(q *core.Request) { q.Reply(q.Data[:min(len(q.Data), 32)]) })
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

// load keeps window calls in flight, spread over sessions, until n
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
		r.calls = append(r.calls, &core.Call{Method: 1, Request: make([]byte, max(32, r.upload)), Buf: make([]byte, 32)})
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
	return core.Config{Controller: factory, KeepAlive: time.Hour}
}

// uncoalesced is cfg with a datagram for each message.
func uncoalesced(cfg core.Config) core.Config {
	cfg.NoCoalesce = true
	return cfg
}

// sealed is cfg with a pre-shared key.
func sealed(tb testing.TB, cfg core.Config) core.Config {
	security, err := psk.New([][psk.KeySize]byte{{1}}, nil)
	require.NoError(tb, err)
	cfg.Security = security
	return cfg
}

func BenchmarkSmallRPC(b *testing.B) {
	for _, bench := range []struct {
		name             string
		window, sessions int
		cfg              core.Config
	}{
		{"window=64", 64, 1, core.Config{}},
		{"window=64/uncoalesced", 64, 1, uncoalesced(core.Config{})},
		{"window=1", 1, 1, core.Config{}},
		{"window=64/sessions=20000", 64, 20000, core.Config{}},
		{"cc=none", 64, 1, controlled(b, "none")},
		{"uncoalesced/cc=none", 64, 1, uncoalesced(controlled(b, "none"))},
		{"alone/cc=none", 1, 1, controlled(b, "none")},
		{"sealed/cc=none", 64, 1, sealed(b, controlled(b, "none"))},
		{"sealed/uncoalesced/cc=none", 64, 1, sealed(b, uncoalesced(controlled(b, "none")))},
		{"sealed/alone/cc=none", 1, 1, sealed(b, controlled(b, "none"))},
		{"cc=timely", 64, 1, controlled(b, "timely")},
		{"cc=swift", 64, 1, controlled(b, "swift")},
		{"cc=dctcp", 64, 1, controlled(b, "dctcp")},
		{"cc=cubic", 64, 1, controlled(b, "cubic")},
		{"cc=auto", 64, 1, controlled(b, "auto")},
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

// BenchmarkControl compares the rates under each controller with that under none,
// of small RPCs and of uploads of 8 MiB. Rigs take turns of some calls, so that
// whatever else the host does falls on all alike; ratios are medians over the
// rounds.
func BenchmarkControl(b *testing.B) {
	names := []string{"none", "timely", "swift", "dctcp", "cubic", "auto"}
	sockets := func(offload bool) func(testing.TB) (x, y transport.Transport) {
		return func(tb testing.TB) (x, y transport.Transport) { return loopback(tb, offload), loopback(tb, offload) }
	}
	for _, bench := range []struct {
		name                  string
		window, slice, upload int
		pair                  func(testing.TB) (x, y transport.Transport)
	}{
		{"mem", 64, 1000, 0, func(testing.TB) (x, y transport.Transport) { return mem.Pair() }},
		{"udp", 64, 1000, 0, sockets(true)},
		{"upload", 4, 4, 8 << 20, sockets(true)},
		{"upload-plain", 4, 4, 8 << 20, sockets(false)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			var rigs []*rig
			var sessions [][]*core.Session
			for _, name := range names {
				x, y := bench.pair(b)
				r := newRigOver(b, controlled(b, name), x, y)
				r.upload = bench.upload
				s := []*core.Session{r.connect(b)}
				r.load(b, s, bench.window, 20*bench.slice)
				rigs, sessions = append(rigs, r), append(sessions, s)
			}
			ratios := make([][]float64, len(rigs))
			took := make([]time.Duration, len(rigs))
			rounds := max(1, b.N/(len(rigs)*bench.slice)) // an operation is an RPC
			chance := rand.New(rand.NewPCG(1, 2))
			b.ResetTimer()
			for range rounds {
				for _, i := range chance.Perm(len(rigs)) { // so that each follows each
					began := time.Now()
					rigs[i].load(b, sessions[i], bench.window, bench.slice)
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

func loopback(tb testing.TB, offload bool) transport.Transport {
	cfg := udp.DefaultConfig()
	cfg.Address = "127.0.0.1:0"
	cfg.Segment, cfg.GRO = offload, offload
	tr, err := udp.Open(cfg, 0, 1)
	require.NoError(tb, err)
	return tr
}
