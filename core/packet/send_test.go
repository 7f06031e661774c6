package packet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A host's queue holds less than the window of one connection. What others have to
// say waits for that queue, and not for the end of what the one sends.
func TestAConnectionThatFillsTheHostsQueueLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 7)
	w.host.SendQueue, w.link.Rate = 32, 1e9
	client := w.add()
	bulk, _ := w.connect(client, w.add())
	small, in := w.connect(client, w.add())
	const queued = (32 + 64) * 12 * time.Microsecond // with the burst that is built

	bulk.send(blobOf(0, 4<<20)) // takes 34 ms
	w.run(2 * time.Millisecond)
	for i := range 10 {
		began := w.Now()
		w.deliver(small, in, 1, 1, 100)
		require.Less(t, w.Now()-began, 2*queued, "%d", i)
		require.Zero(t, bulk.arrived)
	}
}
