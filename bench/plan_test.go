package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEveryClaimIsAboutCasesOfItsGroup(t *testing.T) {
	t.Parallel()
	for _, g := range newPlan(programs{}, options{}).groups() {
		cases := map[string]bool{"": true}
		for _, c := range g.Cases {
			require.False(t, cases[c.Name], "%s: %s is there twice", g.Title, c.Name)
			cases[c.Name] = true
		}
		for _, c := range g.Claims {
			require.NotEmpty(t, c.Of)
			require.True(t, cases[c.Of], "%s: no case %q", g.Title, c.Of)
			require.True(t, cases[c.To], "%s: no case %q", g.Title, c.To)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-quick", "-only", "1,3"})
	require.NoError(t, err)
	require.Equal(t, options{root: "..", runs: 1, duration: 500 * time.Millisecond, quick: true, only: []int{1, 3}}, o)
	for _, args := range [][]string{{"-only", "one"}, {"-runs", "0"}, {"7"}} {
		_, err := parse(args)
		require.Error(t, err, args)
	}
}
