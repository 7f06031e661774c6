package peregrine

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// A client that comes by another queue than its own costs a copy of each packet,
// and no new memory.
func TestWhatIsForwardedAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("pools forget at random under the race detector")
	}
	e, err := Listen("udp://127.0.0.1:0", WithLoops(2))
	require.NoError(t, err)
	defer e.Close()
	rx := transport.RxPacket{Data: make([]byte, 1400)} // which no engine understands
	forward := func() {
		e.forward(0, 1, &rx)
		for e.loops[1].inbox.length.Load() > 0 {
			runtime.Gosched()
		}
	}
	require.Less(t, testing.AllocsPerRun(1000, forward), 1.0)
}
