package suite

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// constant always measures the same; a negative rate fails.
type constant struct{ rate float64 }

func (c constant) Commands() []string { return nil }

func (c constant) Run(context.Context) (map[string]float64, error) {
	if c.rate < 0 {
		return nil, errors.New("no server")
	}
	return map[string]float64{"rate_rps": c.rate}, nil
}

func TestClaimsAreJudgedByFiguresAndByRatios(t *testing.T) {
	t.Parallel()
	g := Group{
		Cases: []Case{{"ours", constant{2e6}}, {"theirs", constant{1e5}}, {"broken", constant{-1}}},
		Claims: []Claim{
			{Metric: Rate, Of: "ours", Bound: AtLeast(2.2e6)},
			{Metric: Rate, Of: "ours", To: "theirs", Bound: AtLeast(20)},
			{Metric: Rate, Of: "ours", To: "theirs", Bound: AtMost(19)},
			{Metric: Rate, Of: "ours", To: "broken"},
			{Metric: Rate, Of: "ours", To: "theirs"},
		},
	}
	var told []string
	r, err := g.Measure(t.Context(), 2, func(_ int, c Case) { told = append(told, c.Name) })
	require.NoError(t, err)
	require.Equal(t, []string{"ours", "theirs", "broken", "broken", "theirs", "ours"}, told)
	require.Equal(t, 2, r.Failures())

	var reached, known []bool
	for _, v := range r.Verdicts {
		reached, known = append(reached, v.Reached), append(known, v.Known)
	}
	require.Equal(t, []bool{false, true, false, false, true}, reached)
	require.Equal(t, []bool{true, true, true, false, true}, known)
	require.Equal(t, "2.00 M", r.Verdicts[0].Format(r.Verdicts[0].Value))
	require.Equal(t, "20.0 ×", r.Verdicts[1].Format(r.Verdicts[1].Value))
}

func TestFiguresAreWrittenWithThreeDigits(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 999: "999", 999.7: "1.00 k", 76_123: "76.1 k", 999_700: "1.00 M", 12_345_678: "12.3 M"} {
		require.Equal(t, want, count(v))
	}
	for v, want := range map[float64]string{0: "0 ns", 149.6: "150 ns", 7600: "7.60 µs", 4_937_700: "4.94 ms"} {
		require.Equal(t, want, nanos(v))
	}
	for v, want := range map[float64]string{0: "0.00", 0.123: "0.12", 9.996: "10.0", 99.96: "100", 1234.5: "1234"} {
		require.Equal(t, want, threeDigits(v))
	}
}
