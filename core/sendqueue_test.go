package core

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The ring remembers each entry that is not settled, and what waits in its order,
// however it grows, wraps and shrinks, and whatever is taken out of it.
func TestTheSendQueueAgreesWithTwoLists(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.SampledFrom([]uint32{0, 1<<32 - 50}).Draw(t, "first")
		q := sendQueue{sent: first}
		settled, lastID := first, uint32(0)
		var sent []entry // from settled on
		var waiting []*outgoing
		some := func(most int) int { return rapid.IntRange(0, most).Draw(t, "some") }
		for step := range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(-1, 6).Draw(t, "what") {
			case -1:
				lastID++
				o, place := &outgoing{id: lastID, size: 1}, some(len(waiting))
				q.pushSoon(o, settled, place)
				waiting = slices.Insert(waiting, place, o)
			case 0:
				for range some(40) {
					lastID++
					o := &outgoing{id: lastID, size: 1}
					q.push(o, settled)
					waiting = append(waiting, o)
				}
			case 1:
				for range some(len(waiting)) {
					o := waiting[0]
					waiting = waiting[1:]
					require.Same(t, o, q.first())
					q.send(o)
					require.False(t, o.waits)
					sent = append(sent, entry{o, o.id, 0})
				}
			case 2:
				if len(waiting) > 0 {
					require.Same(t, waiting[0], q.first())
					q.skip(waiting[0])
					waiting = waiting[1:]
				}
			case 3:
				for range some(len(waiting)) {
					i := some(len(waiting) - 1)
					q.void(waiting[i])
					waiting = slices.Delete(waiting, i, i+1)
				}
			case 4:
				if len(waiting) == 0 {
					lastID++
					o := &outgoing{id: lastID}
					q.note(o, step, settled)
					sent = append(sent, entry{o, o.id, uint32(step)})
				}
			case 5:
				n := some(len(sent))
				settled += uint32(n)
				sent = sent[n:]
			case 6:
				q.shrink(settled)
			}
			require.Equal(t, uint32(len(sent)), q.sent-settled)
			for i, want := range sent {
				require.Equal(t, want, *q.at(settled + uint32(i)), "step %d", step)
			}
			require.Equal(t, len(waiting), q.length)
			if len(waiting) == 0 {
				require.Nil(t, q.first())
			} else {
				require.Same(t, waiting[0], q.first())
				require.True(t, waiting[0].waits)
			}
		}
	})
}

// Messages that come and go unsent, behind one that waits for long, take no more
// memory than those that wait.
func TestTheSendQueueDoesNotGrowByWhatIsTakenOut(t *testing.T) {
	t.Parallel()
	var q sendQueue
	q.push(&outgoing{id: 1}, 0)
	for id := range uint32(10_000) {
		o := &outgoing{id: id + 2}
		q.push(o, 0)
		q.void(o)
	}
	require.Equal(t, 1, q.length)
	require.LessOrEqual(t, len(q.entries), 2*minEntries)
}
