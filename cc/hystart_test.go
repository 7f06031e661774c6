package cc

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Rounds of RTTs in milliseconds, each seen so often, and whether slow start is slow
// after them, over, or neither. The threshold is an eighth of the last round's least,
// 4 ms at least and 16 at most: RFC 9406, section 4.2.
func TestSlowStartEndsWhenRoundTripsTakeLonger(t *testing.T) {
	t.Parallel()
	type round struct {
		ms         time.Duration
		slow, over bool
	}
	for name, story := range map[string][]round{
		"even":        {{10, false, false}, {10, false, false}, {13, false, false}, {16, false, false}},
		"a queue":     {{10, false, false}, {14, true, false}, {14, true, false}, {15, true, false}, {15, true, false}, {16, true, true}},
		"a passing":   {{10, false, false}, {14, true, false}, {13, false, false}, {13, false, false}, {17, true, false}},
		"a long path": {{80, false, false}, {89, false, false}, {102, true, false}},
		"the longest": {{400, false, false}, {415, false, false}, {431, true, false}},
	} {
		var h hystart
		for i, r := range story {
			for range hystartSamples {
				h.sample(r.ms * time.Millisecond)
			}
			require.Equal(t, r.slow, h.slow, "%s, round %d", name, i+1)
			require.Equal(t, r.over, h.round(r.ms*time.Millisecond), "%s, round %d", name, i+1)
			if h.slow {
				require.InDelta(t, 250, h.growth(1000), 0.1)
			} else {
				require.InDelta(t, 1000, h.growth(1000), 0.1)
			}
		}
	}
}
