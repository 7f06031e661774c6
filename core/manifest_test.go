package core

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The ring remembers each entry that is not settled, however it grows, wraps and
// shrinks.
func TestTheManifestAgreesWithAList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.SampledFrom([]uint32{0, 1<<32 - 50}).Draw(t, "first")
		m, message := manifest{next: first}, &outgoing{id: 1}
		settled := first
		for step := range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				for range rapid.IntRange(1, 40).Draw(t, "count") {
					m.note(message, int(m.next-first), settled)
				}
			case 2:
				settled += uint32(rapid.IntRange(0, int(m.next-settled)).Draw(t, "settle"))
			case 3:
				m.shrink(settled)
			}
			for i := settled; i != m.next; i++ {
				require.Equal(t, entry{message, 1, i - first}, *m.at(i), "step %d", step)
			}
		}
	})
}
