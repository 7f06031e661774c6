package transporttest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Misrouted has n queues of one address and port call one server, so many times each, where nobody can know by the peer
// whose an answer is: what arrives on the wrong queue is forwarded, and that happens.
func Misrouted(t *testing.T, server transport.Transport, n, calls int, open func(queue int) (transport.Transport, error)) {
	t.Helper()
	began := time.Now().Add(-time.Second)
	now := func() time.Duration { return time.Since(began) }
	endpoint := func(tr transport.Transport, cfg core.Config) *core.Endpoint {
		e, err := core.New(cfg, tr, now())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, e.Close()) })
		return e
	}
	echo := endpoint(server, core.Config{})
	echo.Handle(1, func(r *core.Request) { r.Reply(r.Data) })

	queues := make([]*core.Endpoint, n)
	forwarded := 0
	for i := range queues {
		tr, err := open(i)
		require.NoError(t, err)
		queues[i] = endpoint(tr, core.Config{Seed: [32]byte{7}, Misrouted: func(to int, rx *transport.RxPacket) {
			forwarded++
			queues[to].Inject(rx)
		}})
	}
	left := 0
	for _, e := range queues {
		session, err := e.Connect(server.LocalAddr())
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
	Within(t, func() bool {
		for range 100 {
			for _, e := range append(queues, echo) {
				_, err := e.Poll(now())
				require.NoError(t, err)
			}
		}
		return left == 0
	})
	require.Positive(t, forwarded)
}
