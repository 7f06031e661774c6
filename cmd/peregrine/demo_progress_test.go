package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestABarFitsItsTerminal(t *testing.T) {
	t.Parallel()
	const name = "6/6  bad network, 64 in flight"
	for width := range 200 {
		for _, done := range []float64{0, 0.5, 1, 7} {
			line := bar(name, done, width)
			require.Less(t, utf8.RuneCountInString(line), max(width, 1), line)
		}
	}
	require.Equal(t, name+"   "+strings.Repeat("█", 12)+strings.Repeat("░", 12), bar(name, 0.5, 80))
	require.Equal(t, name+" ████░░░░", bar(name, 0.5, 40))
	require.Equal(t, "6/6  bad network, …", bar(name, 0.5, 20))
}
