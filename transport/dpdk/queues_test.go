//go:build dpdk

package dpdk

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Two queues talk to one server, from one address and port, so that the device
// cannot know whose an answer is.
func TestWhatArrivesOnTheWrongQueueIsForwarded(t *testing.T) {
	const calls = 1000
	w := wired(t, "queues", "10.14.0.2/24")
	config := testConfig(w.device+",qpairs=2", "10.14.0.1/24")
	began := time.Now().Add(-time.Second)
	now := func() time.Duration { return time.Since(began) }
	endpoint := func(tr transport.Transport, err error, cfg core.Config) *core.Endpoint {
		require.NoError(t, err)
		e, err := core.New(cfg, tr, now())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, e.Close()) })
		return e
	}

	tr, err := kernelAt("10.14.0.2/24")(0)
	server := endpoint(tr, err, core.Config{})
	server.Handle(1, func(r *core.Request) { r.Reply(r.Data) })

	var queues [2]*core.Endpoint
	forwarded := 0
	for i := range queues {
		tr, err := Open(config, i, len(queues))
		queues[i] = endpoint(tr, err, core.Config{Seed: [32]byte{7}, Misrouted: func(_ int, rx *transport.RxPacket) {
			forwarded++
			queues[1-i].Inject(rx)
		}})
	}
	left := 0
	for _, e := range queues {
		session, err := e.Connect(server.Transport().LocalAddr())
		require.NoError(t, err)
		for range 10 {
			again := calls / 10
			left += again
			call := &core.Call{Method: 1, Request: []byte("which queue am I?")}
			call.Done = func(c *core.Call) {
				require.NoError(t, c.Err)
				require.Equal(t, c.Request, c.Response)
				left--
				if again--; again > 0 {
					session.Submit(c)
				}
			}
			session.Submit(call)
		}
	}
	within(t, func() bool {
		for range 100 {
			for _, e := range []*core.Endpoint{queues[0], queues[1], server} {
				_, err := e.Poll(now())
				require.NoError(t, err)
			}
		}
		return left == 0
	})
	require.Positive(t, forwarded)
}
