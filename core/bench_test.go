package core_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport/mem"
)

// rig is a client and a server engine over the in-memory pair, driven by turns
// on one goroutine: what a small RPC costs both engines together.
type rig struct {
	client, server *core.Endpoint
	epoch          time.Time
}

func newRig(tb testing.TB, cfg core.Config) *rig {
	a, b := mem.Pair()
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
	for range min(window, n) {
		c := &core.Call{Method: 1, Request: make([]byte, 32), Buf: make([]byte, 32)}
		c.Done = func(c *core.Call) {
			if c.Err != nil {
				tb.Error(c.Err)
			}
			done++
			if started < n {
				submit(c)
			}
		}
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
