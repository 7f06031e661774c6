package conformance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// requireCompleted waits until the memory of n packets is released. The calls
// that an owner makes anyway are enough to find out.
func (e *end) requireCompleted(n uint64) {
	e.t.Helper()
	last := e.Completed()
	for late := expires(); last < n; {
		require.False(e.t, late(), "Completed says %d, and Send took %d: each packet that was taken completes", last, n)
		e.nudge()
		e.wait(10 * time.Millisecond)
		now := e.Completed()
		require.GreaterOrEqual(e.t, now, last, "Completed only grows")
		last = now
	}
}

// nudge lets the backend look for completions, which some find in Recv.
func (e *end) nudge() {
	e.t.Helper()
	rx := make([]transport.RxPacket, 1)
	e.Release(rx[:e.recv(rx)])
}

func completedCountsWhatWasTaken(t *testing.T, p *pair) {
	const size = 1000
	for n := 1; n <= p.near.Caps().TxBatch; n += 7 {
		ds := numbered(n, size)
		for i := range ds {
			ds[i].head = i % size
		}
		requireCarried(p.near, p.far, ds, n)
		p.near.requireCompleted(p.near.taken)
	}
	require.Equal(t, p.near.taken, p.near.Completed(), "Completed counts packets that Send took since Open")
}

// aCompletedPayloadIsFree scrawls over payloads as soon as Completed passes
// them, before anybody has received them.
func aCompletedPayloadIsFree(t *testing.T, p *pair) {
	for _, size := range []int{1, 100, 600, 5000, 50000} {
		size = min(size, p.near.Caps().MaxPayload)
		memory := numbered(min(16, window(p.far, numbered(1, size))), size)
		for range 20 {
			want := numbered(len(memory), size)
			for i := range memory {
				copy(memory[i].bytes, want[i].bytes)
				memory[i].head = 0
			}
			p.near.send(memory...)
			scrawled, first := 0, p.near.taken-uint64(len(memory))
			for late := expires(); scrawled < len(memory); {
				for done := int(p.near.Completed() - first); scrawled < done; scrawled++ {
					scrawl(memory[scrawled].bytes)
				}
				if scrawled < len(memory) {
					require.False(t, late(), "each packet that was taken completes")
					p.near.nudge()
					p.near.wait(time.Millisecond)
				}
			}
			got := p.far.receive(len(want))
			requireSame(t, want, contents(got))
			p.far.Release(got)
		}
	}
}
