package packet

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// alarm notes when it fired.
type alarm struct {
	Timer
	fired func(*alarm)
}

func (a *alarm) Expired() { a.fired(a) }

func TestTimersFireInOrderAndOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var h timers
		var fired []*alarm
		alarms := make([]*alarm, 20)
		for i := range alarms {
			alarms[i] = &alarm{fired: func(a *alarm) { fired = append(fired, a) }}
			alarms[i].owner = alarms[i]
		}
		set := map[*alarm]time.Duration{}
		now := time.Duration(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			a := alarms[rapid.IntRange(0, len(alarms)-1).Draw(t, "alarm")]
			at := now + time.Duration(rapid.IntRange(0, 50).Draw(t, "at"))
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				h.set(&a.Timer, at)
				set[a] = at
			case 1:
				h.soonen(&a.Timer, at)
				if old, ok := set[a]; !ok || at < old {
					set[a] = at
				}
			case 2:
				h.stop(&a.Timer)
				delete(set, a)
			case 3:
				now += time.Duration(rapid.IntRange(0, 30).Draw(t, "pass"))
				fired = fired[:0]
				h.expire(now)
				require.True(t, slices.IsSortedFunc(fired, func(a, b *alarm) int { return int(set[a] - set[b]) }))
				for _, a := range fired {
					require.LessOrEqual(t, set[a], now)
					delete(set, a)
				}
				for _, at := range set {
					require.Greater(t, at, now)
				}
			}
			require.Len(t, h.heap, len(set))
			for i, e := range h.heap {
				require.Equal(t, i+1, e.place)
			}
		}
	})
}
