package report

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/bench/internal/run"
	"github.com/peregrine-rpc/peregrine/bench/internal/stat"
	"github.com/peregrine-rpc/peregrine/bench/internal/suite"
)

func sample(label stat.Label, rate, p50 float64) *stat.Sample {
	return &stat.Sample{Label: label, Values: map[string]float64{"rate_rps": rate, "p50_us": p50}}
}

func write(t *testing.T, sections ...Section) string {
	t.Helper()
	var text strings.Builder
	require.NoError(t, Write(&text, Setting{
		Title: "Abaci", Command: "make abaci", Notes: []string{"Beads are light."},
		Machine: Machine{"Abacus 9", 2, "Linux 6.18", "go1.26"}, Date: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC),
		Revision: "abc", Runs: 5, Duration: 3 * time.Second, Versions: []string{"grpc v1"}, Common: []string{"servers are on CPU 0"},
	}, sections))
	return text.String()
}

// echoes is two cases, of which one failed once.
func echoes() Section {
	theirs := run.Pair{Server: run.Command{Program: "/tmp/x/rpc", Verb: "serve"}, Client: run.Command{Program: "/tmp/x/rpc", Verb: "perf", Common: []string{"--json"}, Flags: []string{"--size", "32"}}}
	rows := []suite.Row{
		{Case: suite.Case{Name: "ours", Runner: run.Pair{}}, Series: stat.Series{sample(stat.Near, 3e6, 20), sample(stat.Far, 2e6, 30)}},
		{Case: suite.Case{Name: "theirs", Runner: theirs}, Series: stat.Series{sample(stat.Near, 1e5, 100), nil}, Failures: []error{errors.New("gone\naway")}},
	}
	rate := suite.Claim{Text: "rate", Metric: suite.Rate, Of: "ours", Bound: suite.AtLeast(2.2e6)}
	ratio := suite.Claim{Text: "rate / theirs", Metric: suite.Rate, Of: "ours", To: "theirs", Bound: suite.AtLeast(31)}
	return Section{Number: 7, Result: suite.Result{
		Group: suite.Group{Title: "Echo", About: "Small ones.", Main: suite.Rate, Others: []suite.Metric{suite.P50, suite.Retransmits}},
		Rows:  rows,
		Verdicts: []suite.Verdict{
			{Claim: rate, Series: rows[0].Series, Value: 2.5e6, Known: true, Reached: true},
			{Claim: ratio, Series: stat.Ratio(rows[0].Series, rows[1].Series, "rate_rps"), Value: 30, Known: true},
			{Claim: suite.Claim{Text: "for information", Metric: suite.P50, Of: "ours"}, Value: 25, Known: true, Reached: true},
			{Claim: suite.Claim{Text: "lost", Metric: suite.P50, Of: "none", Bound: suite.AtMost(10)}},
		},
	}}
}

func TestTheReportBeginsWithTheConditionsAndTheTargets(t *testing.T) {
	t.Parallel()
	text := write(t, echoes())
	require.Contains(t, text, "# Abaci\n\nWritten by `make abaci`,")
	require.Contains(t, text, "\nBeads are light.\n\n")
	require.Contains(t, text, "Abacus 9, 2 CPUs, Linux 6.18, go1.26")
	require.Contains(t, text, "2026-01-02 03:04 UTC")
	require.Contains(t, text, "runs 5 times for 3s")
	require.Contains(t, text, "- servers are on CPU 0\n")
	require.Contains(t, text, `
| # | claim | target | result | reached |
| --- | ---: | ---: | ---: | ---: |
| 7 | rate | ≥ 2.20 M | 2.50 M | yes |
| 7 | rate / theirs | ≥ 31.0 × | 30.0 × | **no** |
| 7 | lost | ≤ 10.0 µs | not measured | – |
`)
}

func TestAGroupShowsEverySpeedItsCommandsAndItsFailures(t *testing.T) {
	t.Parallel()
	text := write(t, echoes())
	require.Contains(t, text, `
## 7. Echo

Small ones.

| case | runs | RPC/s | near | far | p50 | retransmitted |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| ours | 1 near, 1 far | 2.50 M | 3.00 M | 2.00 M | 25.0 µs | – |
| theirs | 1 near, 1 failed | 100 k | 100 k | – | 100 µs | – |
`)
	require.Contains(t, text, "| rate / theirs | ≥ 31.0 × | 30.0 × | 30.0 × | – | **no** |\n")
	require.Contains(t, text, "| for information | – | 25.0 µs | – | – | – |\n")
	require.Contains(t, text, "- theirs: `rpc serve`; `rpc perf --size 32`\n")
	require.Contains(t, text, "**theirs failed once**: gone away\n")
}

func TestAResultOfUnlikeRunsIsMarked(t *testing.T) {
	t.Parallel()
	s := echoes()
	s.Verdicts[0].Series = stat.Series{sample(stat.Mixed, 2.5e6, 1)}
	require.Contains(t, write(t, s), "| 7 | rate | ≥ 2.20 M | 2.50 M (mixed) | yes |\n")
}

func TestTheCPUsNameIsFound(t *testing.T) {
	t.Parallel()
	require.Equal(t, "AMD EPYC", cpuModel("processor\t: 0\nmodel name\t: AMD EPYC\n", "amd64"))
	require.Equal(t, "arm64", cpuModel("processor\t: 0\n", "arm64"))
}
