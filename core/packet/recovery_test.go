package packet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAPauseIsForgotten(t *testing.T) {
	t.Parallel()
	r := recovery{pause: 64 * time.Millisecond, pausedAt: time.Minute}
	require.Equal(t, r.pause, r.pauseAsOf(time.Second), "not yet")
	require.Equal(t, r.pause, r.pauseAsOf(time.Minute+pauseHalves-1))
	require.Equal(t, r.pause/2, r.pauseAsOf(time.Minute+pauseHalves))
	require.Zero(t, r.pauseAsOf(time.Hour))
}
