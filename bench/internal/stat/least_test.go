package stat

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheLeastIsInRatioToTheMedian(t *testing.T) {
	t.Parallel()
	s := Series{
		{Label: Near, Values: map[string]float64{"r": 10}}, nil,
		{Label: Mixed, Values: map[string]float64{"r": 4}},
		{Label: Far, Values: map[string]float64{"r": 8}},
	}
	v, ok := s.Least("r").Typical("r")
	require.True(t, ok)
	require.InDelta(t, 0.5, v, 1e-9)
	require.Nil(t, Series{nil}.Least("r"))
}
