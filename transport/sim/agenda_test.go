package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestEventsComeInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var a agenda
		var model []event
		order := uint64(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(model) > 0 && rapid.IntRange(0, 2).Draw(t, "what") == 0 {
				least := slices.MinFunc(model, func(x, y event) int {
					if x.before(&y) {
						return -1
					}
					return 1
				})
				model = slices.DeleteFunc(model, func(e event) bool { return e == least })
				require.Equal(t, least, a.pop())
				continue
			}
			order++
			e := event{at: time.Duration(rapid.IntRange(0, 20).Draw(t, "at")), order: order}
			a.push(e)
			model = append(model, e)
		}
		require.Len(t, a, len(model))
	})
}
