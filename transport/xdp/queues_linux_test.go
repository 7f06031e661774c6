package xdp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Four queues talk to one server, from one address and port. Its kernel chooses
// the queue of an answer by a hash of its own.
func TestWhatArrivesOnTheWrongQueueIsForwarded(t *testing.T) {
	const calls, n = 400, 4
	w := wiredQueues(t, 1500, n, n, fourAddresses...)
	began := time.Now().Add(-time.Second)
	now := func() time.Duration { return time.Since(began) }
	endpoint := func(tr transport.Transport, err error, cfg core.Config) *core.Endpoint {
		require.NoError(t, err)
		e, err := core.New(cfg, tr, now())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, e.Close()) })
		return e
	}
	tr, err := w.far.udp(0)
	server := endpoint(tr, err, core.Config{})
	server.Handle(1, func(r *core.Request) { r.Reply(r.Data) })

	var queues [n]*core.Endpoint
	forwarded := 0
	for i := range queues {
		tr, err := w.near.open(w.near.config(), i, n)
		queues[i] = endpoint(tr, err, core.Config{Seed: [32]byte{7}, Misrouted: func(to int, rx *transport.RxPacket) {
			forwarded++
			queues[to].Inject(rx)
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
			for _, e := range append(queues[:], server) {
				_, err := e.Poll(now())
				require.NoError(t, err)
			}
		}
		return left == 0
	})
	require.Positive(t, forwarded)
}

// Between two of ours each queue has a line of its own.
func TestQueuesOfTwoInterfacesMeet(t *testing.T) {
	const n = 4
	w := wiredQueues(t, 1500, n, n, fourAddresses...)
	for i := range n {
		near, err := w.near.open(w.near.config(), i, n)
		require.NoError(t, err)
		defer near.Close()
		far, err := w.far.open(w.far.config(), i, n)
		require.NoError(t, err)
		defer far.Close()
		require.Len(t, near.(*queue).port.queues, n)
		reaches(t, near, far, far.LocalAddr())
		reaches(t, far, near, near.LocalAddr())
	}
}
