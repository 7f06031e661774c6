package stat_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/bench/internal/stat"
)

func run(label stat.Label, rate float64) *stat.Sample {
	return &stat.Sample{Label: label, Values: map[string]float64{"rate": rate}}
}

func TestARunIsNamedByTheMachinesSpeedBeforeAndAfter(t *testing.T) {
	t.Parallel()
	require.Equal(t, stat.Near, stat.LabelOf(92, 95))
	require.Equal(t, stat.Far, stat.LabelOf(500, 480))
	require.Equal(t, stat.Mixed, stat.LabelOf(92, 500))
	require.Equal(t, stat.None, stat.LabelOf(0, 92))
}

func TestMediansAreTakenForEachSpeed(t *testing.T) {
	t.Parallel()
	s := stat.Series{run(stat.Near, 4), run(stat.Far, 1), nil, run(stat.Near, 6), run(stat.Mixed, 100), run(stat.Near, 5)}

	near, ok := s.Median("rate", stat.Near)
	require.True(t, ok)
	require.Equal(t, 5.0, near)
	typical, ok := s.Typical("rate")
	require.True(t, ok)
	require.Equal(t, 4.5, typical, "of 1, 4, 5, 6: the mixed run does not count")
	require.Equal(t, 3, s.Count(stat.Near))

	_, ok = s.Median("latency", stat.Near)
	require.False(t, ok)
	_, ok = stat.Series{nil}.Typical("rate")
	require.False(t, ok)
}

func TestMixedRunsCountWhereThereAreNoOthers(t *testing.T) {
	t.Parallel()
	s := stat.Series{run(stat.Mixed, 3), nil}
	typical, ok := s.Typical("rate")
	require.True(t, ok)
	require.Equal(t, 3.0, typical)
	require.True(t, s.Unlike())
	require.False(t, append(s, run(stat.Near, 1)).Unlike())
	require.False(t, stat.Series{nil}.Unlike())
}

func TestRatiosCompareRunsOfOneRound(t *testing.T) {
	t.Parallel()
	ours := stat.Series{run(stat.Near, 30), run(stat.Far, 10), run(stat.Near, 30), nil, run(stat.Near, 1)}
	theirs := stat.Series{run(stat.Near, 3), run(stat.Far, 2), run(stat.Far, 1), run(stat.Near, 1), run(stat.Near, 0)}

	ratios := stat.Ratio(ours, theirs, "rate")
	near, _ := ratios.Median("rate", stat.Near)
	far, _ := ratios.Median("rate", stat.Far)
	mixed, _ := ratios.Median("rate", stat.Mixed)
	require.Equal(t, []float64{10, 5, 30}, []float64{near, far, mixed})
	require.Nil(t, ratios[3], "no ratio to a failed run")
	require.Nil(t, ratios[4], "no ratio to nothing")
}
