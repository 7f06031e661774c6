package peregrine

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
)

func TestOptionsCountInAnyOrder(t *testing.T) {
	t.Parallel()
	opts := []Option{
		WithConfig(Config{Slots: 3}), WithConfig(Config{Credits: 7, Checksum: true, Seed: [32]byte{1}}), WithoutCoalescing(),
		WithCongestionControl("swift"), WithLoops(2), WithCPU(0, 0), WithTransport("udp://127.0.0.1:0"),
	}
	permute(opts, len(opts), func() {
		o := newOptions(opts)
		require.NoError(t, o.check())
		require.Equal(t, 3, o.config.Slots)
		require.Equal(t, 7, o.config.Credits)
		require.True(t, o.config.Checksum)
		require.True(t, o.config.NoCoalesce)
		require.Equal(t, [32]byte{1}, o.config.Seed)
		require.NotNil(t, o.config.Controller)
		require.Equal(t, 2, o.loops)
		require.Equal(t, []int{0, 0}, o.cpus)
	})
}

// permute calls f with each order of the first n of s, by Heap's algorithm.
func permute[T any](s []T, n int, f func()) {
	if n <= 1 {
		f()
		return
	}
	for i := range n {
		permute(s, n-1, f)
		if j := i * (1 - n%2); i < n-1 {
			s[j], s[n-1] = s[n-1], s[j]
		}
	}
}

func TestTheLaterOfTwoSettingsOfOneKeyCounts(t *testing.T) {
	t.Parallel()
	controller := cc.None(1 << 20)
	o := newOptions([]Option{WithTransport("udp://127.0.0.1:0"), WithConfig(Config{Slots: 3, Queue: 8}),
		WithConfig(Config{Slots: 4, Controller: controller}), WithConfig(Config{})})
	require.NoError(t, o.check())
	require.Equal(t, 4, o.config.Slots)
	require.Equal(t, 8, o.config.Queue)
	require.NotNil(t, o.config.Controller)
}
