package cc

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The example of RFC 9937's figure 1: 20 in flight, of which the first is lost, and
// a window that is halved. Every other acknowledgement sends one, and 10 are in
// flight in the end.
func TestAReductionSendsInProportionToWhatArrives(t *testing.T) {
	t.Parallel()
	var r reduction
	inFlight, sent := 19, 0
	r.enter(20, inFlight+1)
	for i := range 19 {
		inFlight--
		r.acked(i == 0, 1, inFlight, 10, 1, true)
		for inFlight < r.window {
			inFlight++
			sent++
			r.sent(1)
		}
		require.InDelta(t, (i+1)/2, sent, 1, "after %d", i+1)
	}
	require.Equal(t, 10, inFlight)
}

// Heavy loss leaves less in flight than the new window: then slow start makes up
// for it while nothing more is lost, and what arrives is replaced otherwise.
func TestAReductionMakesUpForWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, safe := range []bool{true, false} {
		var r reduction
		inFlight := 4
		r.enter(20, inFlight+1)
		for i := range 4 {
			inFlight--
			r.acked(i == 0, 1, inFlight, 10, 1, safe)
			for inFlight < r.window {
				inFlight++
				r.sent(1)
			}
		}
		require.Equal(t, map[bool]int{true: 8, false: 4}[safe], inFlight)
	}
}

// Whatever comes, a reduction does not send more than arrived, a datagram for each
// acknowledgement aside, nor does it go beyond its target.
func TestAReductionSendsNoMoreThanArrived(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		flight := rapid.IntRange(1, 1000).Draw(t, "flight")
		target := rapid.IntRange(2, 1000).Draw(t, "target")
		inFlight := rapid.IntRange(0, flight).Draw(t, "left")
		var r reduction
		r.enter(flight, inFlight+1)
		arrived, sent, acks := 0, 0, 0
		for inFlight > 0 && acks < 200 {
			n := rapid.IntRange(1, inFlight).Draw(t, "acknowledged")
			lost := rapid.IntRange(0, inFlight-n).Draw(t, "lost")
			inFlight -= n + lost
			arrived += n
			acks++
			before := inFlight
			r.acked(acks == 1, n, inFlight, target, 1, lost == 0)
			for inFlight < r.window {
				inFlight++
				sent++
				r.sent(1)
			}
			require.LessOrEqual(t, sent, arrived+acks)
			require.LessOrEqual(t, inFlight, max(before+1, target, flight))
		}
	})
}
