package relay

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func numbered(n int) client {
	return client{from: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 1000)}
}

func opened(t *flows, n int, now time.Duration) *flow {
	f := &flow{client: numbered(n)}
	t.add(f, now)
	return f
}

func TestAFlowExpiresWhenNothingHasPassedForSoLong(t *testing.T) {
	t.Parallel()
	table := newFlows(10, time.Minute)
	f := opened(&table, 1, 0)
	table.use(f, time.Second, true)
	at, ok := table.next()
	require.True(t, ok)
	require.Equal(t, time.Minute+time.Second, at)
	table.use(f, 30*time.Second, false)
	require.Nil(t, table.expired(90*time.Second-1), "either direction keeps it open")
	require.Same(t, f, table.expired(90*time.Second))
	table.remove(f)
	require.Nil(t, table.expired(time.Hour))
	_, ok = table.next()
	require.False(t, ok)
}

func TestAFlowThatDoesNotConnectExpiresSooner(t *testing.T) {
	t.Parallel()
	table := newFlows(10, time.Minute)
	connected, fresh := opened(&table, 1, 0), opened(&table, 2, 0)
	table.use(connected, 0, true)
	require.Same(t, fresh, table.expired(maxWaiting))
	at, _ := table.next()
	require.Equal(t, maxWaiting, at)
	table.remove(fresh)
	require.Nil(t, table.expired(time.Minute-1))

	short := newFlows(10, time.Second)
	opened(&short, 1, 0)
	require.NotNil(t, short.expired(time.Second), "never later than a connected one")
}

func TestWhoIsNotConnectedMakesRoom(t *testing.T) {
	t.Parallel()
	table := newFlows(2, time.Minute)
	first, second := opened(&table, 1, 0), opened(&table, 2, 1)
	table.use(first, 2, false)
	full, victim := table.full()
	require.True(t, full)
	require.Same(t, second, victim, "the one that has been silent the longest")
	table.use(second, 3, true)
	table.use(first, 3, true)
	full, victim = table.full()
	require.True(t, full)
	require.Nil(t, victim, "connections stay")
}

// Whatever happens, each open flow is found, and expires in its time.
func TestFlowsAreAsAModelHasThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const most = 8
		table := newFlows(most, 100)
		used, connected := map[client]time.Duration{}, map[client]bool{}
		limit := func(c client) time.Duration {
			if connected[c] {
				return table.idle
			}
			return table.waiting
		}
		now := time.Duration(0)
		t.Repeat(map[string]func(*rapid.T){
			"datagram": func(t *rapid.T) {
				c := numbered(rapid.IntRange(0, most-1).Draw(t, "client"))
				connects := rapid.Bool().Draw(t, "connects")
				f := table.byClient[c]
				require.Equal(t, f != nil, used[c] != 0 || connected[c] || has(used, c))
				if f == nil {
					f = &flow{client: c}
					table.add(f, now)
				}
				table.use(f, now, connects)
				used[c], connected[c] = now, connected[c] || connects
			},
			"time": func(t *rapid.T) {
				now += time.Duration(rapid.IntRange(0, 60).Draw(t, "passes"))
				for f := table.expired(now); f != nil; f = table.expired(now) {
					require.GreaterOrEqual(t, now-used[f.client], limit(f.client))
					table.remove(f)
					delete(used, f.client)
					delete(connected, f.client)
				}
			},
			"": func(t *rapid.T) {
				require.Len(t, table.byClient, len(used))
				first, any := time.Duration(0), false
				for c, at := range used {
					require.Less(t, now-at, limit(c), "it has not expired")
					if end := at + limit(c); !any || end < first {
						first, any = end, true
					}
				}
				at, ok := table.next()
				require.Equal(t, any, ok)
				require.Equal(t, first, at)
			},
		})
	})
}

func has(used map[client]time.Duration, c client) bool {
	_, ok := used[c]
	return ok
}
