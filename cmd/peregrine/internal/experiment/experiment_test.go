package experiment

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

func TestGoodputCountsEachByteOnce(t *testing.T) {
	t.Parallel()
	r := newRack(conditions{ctx: t.Context(), controller: baseline, seed: 1, rate: 10e9})
	server, flows, err := r.incast(1)
	require.NoError(t, err)
	server.in.SetFaults(sim.Faults{Loss: 0.05, Duplicate: 0.05})
	began := r.Now()
	flows[0].begin(requestSize, 2)
	answered := func() int { return int(server.engine.Stats().RequestsHandled) }
	require.NoError(t, r.Until(time.Second, func() bool { return answered() == 3 }))
	flows[0].end()
	r.Run(2 * tick)
	require.NoError(t, r.failure())

	took := r.Now().Truncate(tick) - began.Truncate(tick)
	bytes := flows[0].arrived.rate(began, r.Now()) * took.Seconds() / 8
	require.GreaterOrEqual(t, bytes, 3.*requestSize)
	require.Less(t, bytes, 5.*requestSize, "two more were under way at most")
	require.Positive(t, flows[0].from.engine.Stats().Retransmits)
}

func TestAFlowThatEndsStopsSending(t *testing.T) {
	t.Parallel()
	r := newRack(conditions{ctx: t.Context(), controller: baseline, seed: 1, rate: 10e9})
	_, flows, err := r.incast(2)
	require.NoError(t, err)
	for _, f := range flows {
		f.begin(requestSize, 1)
	}
	r.Run(8 * tick)
	flows[0].end()
	r.Run(4 * tick) // what is in queues
	from := r.Now()
	r.Run(8 * tick)
	require.NoError(t, r.failure())
	require.Zero(t, flows[0].arrived.rate(from, r.Now()))
	require.InDelta(t, 9.3e9, flows[1].arrived.rate(from, r.Now()), 0.3e9, "the other has the link to itself")
}

func TestACallThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	r := newRack(conditions{ctx: t.Context(), controller: baseline, seed: 1, rate: 10e9})
	server, flows, err := r.incast(1)
	require.NoError(t, err)
	flows[0].begin(1000, 1)
	server.act(func() { require.NoError(t, server.engine.Close()) })
	r.Run(time.Second)
	require.ErrorContains(t, r.failure(), "upload from 10.0.0.2")
}

// The default keeps what it is to keep, whatever the seed, and where many datagrams are
// in flight as well.
func TestLossCostsTheDefaultWhatItMust(t *testing.T) {
	t.Parallel()
	seeds := []uint64{1, 2, 3}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for rate, outstanding := range map[uint64]int{usualRate: 1, 100e9: 4} {
		d := usualDuration * time.Duration(usualRate) / time.Duration(rate) // as many datagrams
		for _, seed := range seeds {
			goodput := func(probability float64) float64 {
				run, err := loss(conditions{t.Context(), "auto", seed, rate, 0}, outstanding, probability, d)
				require.NoError(t, err)
				return run.Goodput
			}
			lossless := goodput(0)
			for probability, least := range keptAtLeast {
				require.GreaterOrEqual(t, goodput(probability)/lossless, least, "%s, %s, seed %d", rateName(rate), percent(probability), seed)
			}
		}
	}
}

// A datagram of each of twenty takes twelve round trips of the idle way: who is to see
// below their queue has to make more room than all but one, or takes it for others'.
func TestManyAtASlowLinkDoNotTakeEachOtherForOthers(t *testing.T) {
	t.Parallel()
	w := way{rate: 200e6, trip: 100 * time.Microsecond}
	run, err := slow(conditions{t.Context(), "auto", 1, w.rate, 0}, w, 20, 2*time.Second)
	require.NoError(t, err)
	require.GreaterOrEqual(t, run.Used, 0.9)
	require.Less(t, run.QueueP50, 2e3)
	require.Zero(t, run.Drops)
	require.GreaterOrEqual(t, run.Jain, 0.9)
}

func TestQuantilesAndSettlingTimeOfASeries(t *testing.T) {
	t.Parallel()
	var s series
	for i := range 1000 {
		at := time.Duration(i) * time.Millisecond
		s.add(at, max(10, 500-at/time.Millisecond)) // falls for 490 ms, and stays
	}
	require.Equal(t, []time.Duration{10, 401, 500}, s.quantiles(0.5, 0.9, 1))
	require.Equal(t, time.Duration(251), s.during(0, 500*time.Millisecond).median())
	require.Equal(t, 500*time.Millisecond, s.settles(0, time.Second, 100*time.Millisecond, 20))
	require.Equal(t, time.Second, s.settles(0, time.Second, 100*time.Millisecond, 5), "never")
	require.Zero(t, s.settles(0, time.Second, 100*time.Millisecond, 500))
	require.Equal(t, []time.Duration{0}, series(nil).quantiles(0.5))
}

func TestJainsIndex(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 1, jain([]float64{3, 3, 3}), 1e-9)
	require.InDelta(t, 0.25, jain([]float64{5, 0, 0, 0}), 1e-9)
	require.Zero(t, jain([]float64{0, 0}), "nobody has anything")
}

func TestAnUnknownExperimentIsAnErrorThatListsThem(t *testing.T) {
	t.Parallel()
	_, err := Find("outcast")
	require.ErrorContains(t, err, "incast, fairness, mix, reverse, beside, share, slow, calls, change, loss, or all")
	all, err := Find("all")
	require.NoError(t, err)
	require.Len(t, all, len(All))
}

func TestAnInterruptEndsAnExperiment(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, e := range All {
		_, err := e.Run(ctx, Plan{Seed: 1})
		require.ErrorIs(t, err, context.Canceled, e.Name)
	}
}

// short is a context that ends after so many looks at it.
type short struct {
	context.Context
	looks int
}

func (s *short) Err() error {
	if s.looks--; s.looks < 0 {
		return context.Canceled
	}
	return nil
}

func TestAnInterruptedExperimentReportsWhatItFound(t *testing.T) {
	t.Parallel()
	var found int
	for looks := 100; found == 0; looks *= 2 {
		report, err := runLoss(&short{t.Context(), looks}, Plan{Seed: 1, Controllers: []string{"swift"}, Rate: 1e9, Duration: 5 * time.Millisecond})
		require.ErrorIs(t, err, context.Canceled)
		found = len(report.Tables[0].Rows)
		var printed strings.Builder
		require.NoError(t, report.Print(&printed))
		require.Equal(t, found > 0, strings.Contains(printed.String(), "Goodput of one upload"))
	}
	require.Less(t, found, 4)
}

func TestADocumentKeepsItsProse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.md")
	report := &Report{
		Tables:  []Table{{Name: "one", Table: measure.Table{Header: []string{"cc", "µs"}, Rows: [][]string{{"none", "7"}}}}},
		Targets: []Target{atMost("delay", "swift", 0.2, 0.1), atLeast("goodput", "timely", 0.9, 0.8)},
		Charts:  []Chart{{Name: "lines", Panels: []Panel{{Lines: []Line{{Name: "a", X: []float64{1, 2}, Y: []float64{3, 4}}}}}}},
	}
	require.ErrorContains(t, Document(path, nil), "no such file")
	const page = "Before.\n<!-- begin one -->\nold\n<!-- end one -->\nBetween.\n<!-- begin targets -->\n<!-- end targets -->\nAfter.\n"
	require.NoError(t, os.WriteFile(path, []byte(page), 0o600))
	for range 2 { // again changes nothing
		require.NoError(t, Document(path, []*Report{report}))
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, `Before.
<!-- begin one -->

| cc | µs |
| --- | ---: |
| none | 7 |

<!-- end one -->
Between.
<!-- begin targets -->

| claim | target | swift | timely |
| --- | ---: | ---: | ---: |
| delay | ≤ 0.2 | 0.100 yes |  |
| goodput | ≥ 0.9 |  | 0.800 NO |

<!-- end targets -->
After.
`, string(text))
	}
	require.FileExists(t, filepath.Join(filepath.Dir(path), "page", "lines.svg"))
	require.NoError(t, os.WriteFile(path, []byte("<!-- begin targets -->\n<!-- end targets -->\n"), 0o600))
	require.ErrorContains(t, Document(path, []*Report{report}), `no place for table "one"`)
}

func TestChartsAreWellFormed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Chart{
		"linear":      {Title: "a < b", Panels: []Panel{{Lines: []Line{{Name: "a & b", X: []float64{0, 1}, Y: []float64{0, 23}}}}, {Title: "none"}, {}}},
		"logarithmic": {X: Axis{Log: true}, Y: Axis{Log: true}, Panels: []Panel{{Lines: []Line{{X: []float64{0.001, 100}, Y: []float64{0, 1e6}}}}}},
		"one point":   {Panels: []Panel{{Lines: []Line{{X: []float64{0}, Y: []float64{0}}}}}},
		"nothing":     {Panels: []Panel{{}}},
	} {
		svg := c.SVG()
		require.NotContains(t, svg, "NaN", name)
		require.NotContains(t, svg, "Inf", name)
		decoder := xml.NewDecoder(strings.NewReader(svg))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, name)
		}
	}
}

func TestTicksAreRoundAndWithinTheData(t *testing.T) {
	t.Parallel()
	require.Equal(t, []float64{0, 5, 10, 15, 20}, (&Axis{low: 0, high: 23.2}).ticks())
	require.Equal(t, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}, (&Axis{low: 0, high: 1}).ticks())
	require.Equal(t, []float64{50, 100, 200, 500}, (&Axis{Log: true, low: 30, high: 900}).ticks())
	require.Equal(t, []float64{10, 100, 1000, 10000}, (&Axis{Log: true, low: 8, high: 12000}).ticks())
}
