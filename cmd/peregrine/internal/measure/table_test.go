package measure

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATableTooWideForItsTerminalIsStacked(t *testing.T) {
	t.Parallel()
	table := Table{Header: []string{"", "rate/s", "p50"}, Rows: [][]string{{"echo", "1.2 M", "7 µs"}, {"upload", "90", "1 ms"}}}
	var wide, narrow strings.Builder
	require.NoError(t, table.write(&wide, 80))
	require.Contains(t, wide.String(), "upload      90  1 ms\n")
	require.NoError(t, table.write(&narrow, 19))
	require.Equal(t, "echo\n  rate/s  1.2 M\n  p50     7 µs\nupload\n  rate/s  90\n  p50     1 ms\n", narrow.String())
}
