//go:build dpdk

package dpdk

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Two queues talk to one server, from one address and port, so that the device
// cannot know whose an answer is.
func TestWhatArrivesOnTheWrongQueueIsForwarded(t *testing.T) {
	const calls = 1000
	w := wired(t, "queues", "10.14.0.2/24")
	config := testConfig(w.device+",qpairs=2", "10.14.0.1/24")
	server, err := kernelAt("10.14.0.2/24")(0)
	require.NoError(t, err)
	transporttest.Misrouted(t, server, 2, calls, func(i int) (transport.Transport, error) { return Open(config, i, 2) })
}
