package udp

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

func TestAPortIsOneServersHoweverManyQueuesItHas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ first, second int }{{1, 1}, {1, 2}, {2, 1}, {2, 2}, {4, 3}} {
		for _, host := range []string{"127.0.0.1", "0.0.0.0", "[::1]", ""} {
			first, err := transport.OpenQueues("udp://"+host+":0", c.first)
			require.NoError(t, err)
			url := fmt.Sprintf("udp://%s:%d", host, first[0].LocalAddr().Port())
			_, err = transport.OpenQueues(url, c.second)
			require.ErrorContains(t, err, "in use", "%d queues at a port with %d", c.second, c.first)
			require.ErrorIs(t, err, syscall.EADDRINUSE)
			for _, q := range first {
				// While one queue is left, the port is taken.
				_, err = transport.OpenQueues(url, c.second)
				require.ErrorIs(t, err, syscall.EADDRINUSE)
				require.NoError(t, q.Close())
			}
		}
	}
}

func TestProcessesShareAPortIfBothSayTheyDo(t *testing.T) {
	t.Parallel()
	first, err := transport.OpenQueues("udp://127.0.0.1:0?share=true", 2)
	require.NoError(t, err)
	url := "udp://" + first[0].LocalAddr().String()
	_, err = transport.OpenQueues(url, 1)
	require.ErrorIs(t, err, syscall.EADDRINUSE, "only one says so")
	second, err := transport.OpenQueues(url+"?share=true", 2)
	require.NoError(t, err)
	for _, q := range append(first, second...) {
		require.NoError(t, q.Close())
	}
}
