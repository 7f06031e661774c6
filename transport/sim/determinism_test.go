package sim_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// troubled is a link with everything that is left to chance.
var troubled = sim.LinkConfig{
	Rate: 1e9, Delay: 5 * time.Microsecond, QueueBytes: 30_000, MarkBytes: 10_000,
	Faults: sim.Faults{
		Loss: 0.01, Burst: sim.Burst{Enter: 0.01, Leave: 0.2, Loss: 0.5}, Duplicate: 0.01, Corrupt: 0.01,
		Reorder: 0.02, ReorderDelay: 50 * time.Microsecond, Jitter: 3 * time.Microsecond,
	},
}

// rawHistory is the trace of sources and sinks in trouble.
func rawHistory(t *testing.T, seed uint64) []byte {
	var trace bytes.Buffer
	n := newStar(seed, 5, troubled)
	n.Trace(&trace, nil)
	n.hosts[4].OpenQueues(9, 3, sim.AtRandom)
	echo := newEcho(n.hosts[0])
	for _, h := range n.hosts[1:4] {
		newSource(t, h, echo.port.LocalAddr(), 300, 1000)
	}
	newSource(t, n.hosts[4], addrOf(n.hosts[4], 9), 100, 50)
	n.At(n.Now()+200*time.Microsecond, n.links[2].Partition)
	n.At(n.Now()+600*time.Microsecond, n.links[2].Heal)
	n.At(n.Now()+700*time.Microsecond, func() { n.hosts[0].Pause(500 * time.Microsecond) })
	n.At(n.Now()+2*time.Millisecond, n.hosts[0].Kill)
	n.Run(time.Second)
	return trace.Bytes()
}

func TestOneSeedGivesOneHistory(t *testing.T) {
	t.Parallel()
	first := rawHistory(t, 1)
	require.True(t, bytes.Equal(first, rawHistory(t, 1)), "two runs differ")
	require.False(t, bytes.Equal(first, rawHistory(t, 2)), "another seed changes nothing")
	for _, what := range []string{"send", "deliver", "mark", "lost", "overflow", "duplicate", "corrupt", "reorder",
		"damaged", "cut", "down", "up", "pause", "resume", "kill", "unclaimed"} {
		require.True(t, bytes.Contains(first, []byte(" "+what+" ")), what)
	}
}

func TestATraceSaysWhatItIsToldToSay(t *testing.T) {
	t.Parallel()
	var trace strings.Builder
	n := newStar(1, 2, fast)
	in := newSink(n.hosts[1])
	p := n.hosts[0].Open(1)
	n.Trace(&trace, func(data []byte) string { return fmt.Sprintf("%q", data) })
	send(p, dial(t, p, in.port.LocalAddr()), []byte("hello"), nil)
	n.Run(time.Millisecond)
	n.Trace(nil, nil)
	n.hosts[0].Kill()
	require.Equal(t, `1.000000000 send a>tor #1 10.0.0.1:1>10.0.0.2:1 5 ecn=0 4f9f2cab "hello"
1.000010000 send tor>b #1 10.0.0.1:1>10.0.0.2:1 5 ecn=0 4f9f2cab "hello"
1.000020000 deliver b #1 10.0.0.1:1>10.0.0.2:1 5 ecn=0 4f9f2cab "hello"
`, trace.String())
}

// engineHistory is the trace of clients that call a server of the real engine,
// which is restarted in between.
func engineHistory(t *testing.T, seed uint64) (history []byte, answered int) {
	var trace bytes.Buffer
	n := newStar(seed, 4, troubled)
	n.Trace(&trace, nil)
	births := byte(0)
	start := func(h *sim.Host) *core.Endpoint {
		births++
		cfg := core.Config{Seed: [32]byte{births}, KeepAlive: 100 * time.Millisecond}
		binary.LittleEndian.PutUint64(cfg.Seed[8:], seed)
		port := h.Open(1)
		e, err := core.New(cfg, port, n.Now())
		require.NoError(t, err)
		h.Run(e, port)
		return e
	}
	serve := func() { start(n.hosts[0]).Handle(1, func(r *core.Request) { r.Reply(r.Data) }) }
	serve()
	for i, h := range n.hosts[1:] {
		s, err := start(h).Connect(addrOf(n.hosts[0], 1))
		require.NoError(t, err)
		request := bytes.Repeat([]byte{byte(i)}, []int{40, 3000, 20_000}[i])
		left := 60
		var again func()
		again = func() {
			s.Submit(&core.Call{Method: 1, Request: request, Buf: make([]byte, 0, len(request)), Done: func(c *core.Call) {
				if c.Err == nil {
					require.True(t, bytes.Equal(request, c.Response))
					answered++
				}
				if left--; left > 0 {
					again()
				}
			}})
		}
		again()
		again()
		h.Kick()
	}
	n.At(1010*time.Millisecond, func() {
		n.hosts[0].Kill()
		serve()
	})
	n.Run(2 * time.Second)
	for _, h := range n.hosts {
		require.NoError(t, h.Err())
	}
	return trace.Bytes(), answered
}

func TestEnginesReplayFromASeed(t *testing.T) {
	t.Parallel()
	first, answered := engineHistory(t, 1)
	second, _ := engineHistory(t, 1)
	other, _ := engineHistory(t, 2)
	require.True(t, bytes.Equal(first, second), "two runs differ")
	require.False(t, bytes.Equal(first, other), "another seed changes nothing")
	require.Greater(t, answered, 150)
}
