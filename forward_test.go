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
		for e.loops[1].inbox.behind() > 0 {
			runtime.Gosched()
		}
	}
	require.Less(t, testing.AllocsPerRun(1000, forward), 1.0)
}

// What may be any loop's, such as a Reset without its token, is every other loop's to judge.
func TestWhatIsNobodysGoesToAllOtherLoops(t *testing.T) {
	t.Parallel()
	e, err := Listen("udp://127.0.0.1:0", WithLoops(4))
	require.NoError(t, err)
	defer e.Close()
	e.forward(1, -1, &transport.RxPacket{Data: []byte("which no engine understands")})
	for i, l := range e.loops {
		var malformed uint64
		require.NoError(t, l.ask(t.Context(), func() { malformed = l.engine.Stats().RxMalformed }))
		want := uint64(1)
		if i == 1 {
			want = 0
		}
		require.Equal(t, want, malformed, "loop %d", i)
	}
}
