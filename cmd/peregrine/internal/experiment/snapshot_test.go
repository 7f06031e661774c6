package experiment

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew")

// shown is a report as a snapshot keeps it.
func shown(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, r.Print(&b))
	return b.String()
}

// Each experiment in small, for every controller: a change in behaviour shows.
func TestExperimentsGiveTheFiguresTheyGaveBefore(t *testing.T) {
	t.Parallel()
	experiments := All
	if testing.Short() { // to look for races, which one has as all have
		experiments = All[:1]
	}
	for _, e := range experiments {
		t.Run(e.Name, func(t *testing.T) {
			t.Parallel()
			plan := Plan{Seed: 1, Controllers: cc.Names(), Rate: 2.5e9, Clients: 8, Duration: 10 * time.Millisecond}
			report, err := e.Run(t.Context(), plan)
			require.NoError(t, err)
			got := shown(t, report)
			path := filepath.Join("testdata", e.Name+".txt")
			if *rewrite {
				require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), got,
				"the figures differ; to accept them: go test ./cmd/peregrine/internal/experiment -run Figures -rewrite")
		})
	}
}
