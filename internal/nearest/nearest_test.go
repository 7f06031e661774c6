package nearest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/nearest"
)

func TestASlipIsGuessed(t *testing.T) {
	t.Parallel()
	words := []string{"udp", "dpdk", "mem", "window", "sessions"}
	for word, meant := range map[string]string{
		"upd": "udp", "dup": "udp", "dpkd": "dpdk", "windw": "window", "windows": "window", "session": "sessions", "win": "window",
	} {
		require.Equal(t, ` (did you mean "`+meant+`"?)`, nearest.DidYouMean(word, words), word)
	}
}

func TestAWordLikeNoneIsNotGuessed(t *testing.T) {
	t.Parallel()
	words := []string{"udp", "window", ""}
	for _, word := range []string{"", "xyz", "carrier-pigeon", strings.Repeat("w", 1<<20)} {
		require.Empty(t, nearest.DidYouMean(word, words), word)
	}
	require.Empty(t, nearest.DidYouMean("udp", nil))
}
