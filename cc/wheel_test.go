package cc_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/peregrine-rpc/peregrine/cc"
)

func TestItemsComeBackInOrderAndNotBeforeTheirTime(t *testing.T) {
	t.Parallel()
	w := cc.NewWheel(time.Microsecond, 64)
	items := []cc.Item{{Owner: "b"}, {Owner: "a"}, {Owner: "c"}}
	w.Insert(&items[0], 20*time.Microsecond)
	w.Insert(&items[1], 10*time.Microsecond)
	w.Insert(&items[2], 20*time.Microsecond)
	at, ok := w.Next()
	require.True(t, ok)
	require.Equal(t, 10*time.Microsecond, at)
	require.Nil(t, w.Reap(10*time.Microsecond-1))
	require.Equal(t, "a", w.Reap(10*time.Microsecond).Owner)
	require.Nil(t, w.Reap(10*time.Microsecond))
	require.Equal(t, "b", w.Reap(time.Second).Owner)
	require.Equal(t, "c", w.Reap(time.Second).Owner)
	_, ok = w.Next()
	require.False(t, ok)
}

func TestAnItemInsertedAgainIsMoved(t *testing.T) {
	t.Parallel()
	w := cc.NewWheel(time.Microsecond, 64)
	var item cc.Item
	w.Insert(&item, 10*time.Microsecond)
	w.Insert(&item, time.Hour)
	require.Equal(t, 1, w.Len())
	require.Nil(t, w.Reap(time.Hour-1))
	require.Same(t, &item, w.Reap(time.Hour))
	require.False(t, item.Waiting())
}

// The wheel keeps its promises against a model that is a map: nothing is lost,
// released twice, early, or late.
func TestNothingIsLostTwiceEarlyOrLate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		granularity := time.Duration(rapid.Int64Range(1, 5000).Draw(t, "granularity"))
		w := cc.NewWheel(granularity, rapid.IntRange(1, 300).Draw(t, "slots"))
		items := make([]cc.Item, 20)
		due := make(map[*cc.Item]time.Duration)
		now := time.Duration(0)
		step := rapid.OneOf(rapid.Int64Range(0, 10_000), rapid.Int64Range(0, 1e7), rapid.Just(int64(1e15)))
		check := func() {
			require.Equal(t, len(due), w.Len())
			at, ok := w.Next()
			require.Equal(t, len(due) > 0, ok)
			for _, when := range due {
				require.Less(t, at, max(when, now)+granularity, "Next is not late")
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"insert or move": func(t *rapid.T) {
				item := &items[rapid.IntRange(0, len(items)-1).Draw(t, "item")]
				due[item] = now + time.Duration(step.Draw(t, "ahead")) - time.Duration(rapid.Int64Range(0, 20_000).Draw(t, "back"))
				w.Insert(item, due[item])
			},
			"remove": func(t *rapid.T) {
				item := &items[rapid.IntRange(0, len(items)-1).Draw(t, "item")]
				w.Remove(item)
				delete(due, item)
				require.False(t, item.Waiting())
			},
			"reap": func(t *rapid.T) {
				now += time.Duration(step.Draw(t, "jump"))
				for item := w.Reap(now); item != nil; item = w.Reap(now) {
					when, ok := due[item]
					require.True(t, ok, "released twice, or removed")
					require.LessOrEqual(t, when, now, "early")
					delete(due, item)
				}
				for _, when := range due {
					require.Greater(t, when, now-granularity, "late")
				}
			},
			"reap one, as of before": func(t *rapid.T) {
				if item := w.Reap(now - time.Duration(rapid.Int64Range(0, 1e6).Draw(t, "back"))); item != nil {
					require.LessOrEqual(t, due[item], now)
					delete(due, item)
				}
			},
		})
	})
}

func TestTheWheelDoesNotAllocate(t *testing.T) {
	w := cc.NewWheel(time.Microsecond, 1024)
	var item cc.Item
	now := time.Duration(0)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		now += 3 * time.Millisecond
		w.Insert(&item, now+2*time.Millisecond)
		w.Next()
		for w.Reap(now) != nil {
		}
	}))
}

func BenchmarkWheel(b *testing.B) {
	w := cc.NewWheel(time.Microsecond, 1024)
	items := make([]cc.Item, 1000)
	now := time.Duration(0)
	for i := range items {
		w.Insert(&items[i], time.Duration(i)*time.Microsecond)
	}
	for b.Loop() {
		now += time.Microsecond
		for item := w.Reap(now); item != nil; item = w.Reap(now) {
			w.Insert(item, now+time.Millisecond)
		}
		w.Next()
	}
}
