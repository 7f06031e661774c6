package xdp

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Four queues talk to one server, from one address and port. Its kernel chooses
// the queue of an answer by a hash of its own; in generic mode all come to the first.
func TestWhatArrivesOnTheWrongQueueIsForwarded(t *testing.T) {
	const calls, n = 400, 4
	for _, m := range []string{"native", "generic"} {
		t.Run(m, func(t *testing.T) {
			w := wiredQueues(t, 1500, n, n, fourAddresses...)
			w.far.unsegmented(t)
			transporttest.Misrouted(t, opened(t, w.far.udp), n, calls, func(i int) (transport.Transport, error) {
				c := w.near.config()
				c.Mode = m
				return w.near.open(c, i, n)
			})
		})
	}
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
