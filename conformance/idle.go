package conformance

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

func threadTimeIsKnown(Factory, transport.Caps, transport.Caps) bool {
	_, ok := threadTime()
	return ok
}

func waitingUsesNoProcessor(_ *testing.T, p *pair) {
	p.near.requireIdle("before any traffic")

	requireCarried(p.near, p.far, numbered(100, 100), 20)
	requireCarried(p.far, p.near, numbered(100, 100), 20)
	p.near.requireIdle("after traffic both ways")

	p.near.Wake()
	p.near.requireIdle("after a Wake")

	// A queue that was full has room again, and its owner nothing more to send.
	if _, full := p.near.fill(); full {
		rx := make([]transport.RxPacket, p.far.Caps().RxBatch)
		for n := p.far.recv(rx); n > 0; n = p.far.recv(rx) {
			p.far.Release(rx[:n])
		}
		p.near.requireIdle("after its queue was full: it says once that there is room")
	}
}

// requireIdle waits for a while, and requires that the thread hardly ran; nor
// came back often, which on a busy machine takes little time too.
func (e *end) requireIdle(when string) {
	e.t.Helper()
	const span = 300 * time.Millisecond
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := time.Now()
	before, _ := threadTime()
	returns := 0
	for left := span; left > 0; left = span - time.Since(began) {
		e.wait(left)
		returns++
	}
	after, _ := threadTime()
	require.Less(e.t, returns, 100, "Wait blocks %s: it returned this often in %v", when, span)
	require.Less(e.t, after-before, span/5, "Wait blocks %s: it burned this much of %v", when, span)
}
