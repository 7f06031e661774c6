package measure_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/transport"
)

func TestPercentilesOfAThousandLatencies(t *testing.T) {
	t.Parallel()
	r := measure.NewRecorder()
	for i := 1; i <= 1000; i++ {
		r.Record(time.Duration(i) * time.Microsecond)
	}
	l := r.Latency()
	require.InEpsilon(t, 500, l.P50, 0.002)
	require.InEpsilon(t, 990, l.P99, 0.002)
	require.InEpsilon(t, 999, l.P999, 0.002)
	require.InEpsilon(t, 1, l.Min, 0.002)
	require.InEpsilon(t, 1000, l.Max, 0.002)
}

func TestLatenciesOutOfRangeAreKeptAtItsEnds(t *testing.T) {
	t.Parallel()
	r := measure.NewRecorder()
	r.Record(-time.Second)
	r.Record(time.Hour)
	require.InDelta(t, 0.001, r.Latency().Min, 1e-9)
	require.InEpsilon(t, 60e6, r.Latency().Max, 0.002)
	r.Reset()
	require.Zero(t, r.Latency().Max)
}

func TestRecordingAllocatesNothing(t *testing.T) {
	r := measure.NewRecorder()
	require.Zero(t, testing.AllocsPerRun(100, func() { r.Record(time.Microsecond) }))
}

func TestUsageGrowsWithWork(t *testing.T) {
	t.Parallel()
	before := measure.UsageNow(transport.Stats{RxCalls: 1})
	var kept [][]byte
	for range 1000 {
		kept = append(kept, make([]byte, 100))
	}
	runtime.GC()
	used := measure.UsageNow(transport.Stats{RxCalls: 3, TxCalls: 4}).Since(before)
	require.Len(t, kept, 1000)
	require.GreaterOrEqual(t, used.Mallocs, uint64(1000))
	require.Positive(t, used.Collections)
	require.GreaterOrEqual(t, used.CPU, time.Duration(0))
	require.EqualValues(t, 6, used.Syscalls)
}

func TestAResultIsPerCall(t *testing.T) {
	t.Parallel()
	var r measure.Result
	r.Per(1000, 2*time.Second,
		measure.Usage{CPU: time.Millisecond, Mallocs: 500, Syscalls: 250},
		measure.Usage{CPU: 2 * time.Millisecond, Mallocs: 2000, Collections: 3, Syscalls: 750})
	require.InDelta(t, 500, r.Rate, 1e-9)
	require.InDelta(t, 0.5, r.Allocs, 1e-9)
	require.InDelta(t, 2, r.ServerAllocs, 1e-9)
	require.InDelta(t, 1000, r.ClientCPU, 1e-9)
	require.InDelta(t, 2000, r.ServerCPU, 1e-9)
	require.InDelta(t, 0.25, r.Syscalls, 1e-9)
	require.InDelta(t, 0.75, r.ServerSyscalls, 1e-9)
	require.Zero(t, r.Collections)
	require.EqualValues(t, 3, r.ServerCollections)
	require.InDelta(t, 8, measure.Gigabits(1e9, time.Second), 1e-9)
}

func TestNoCallsAreNoDivisionByZero(t *testing.T) {
	t.Parallel()
	var r measure.Result
	r.Per(0, time.Second, measure.Usage{}, measure.Usage{})
	r.Per(1, 0, measure.Usage{}, measure.Usage{})
	require.Zero(t, r.Rate)
	require.Zero(t, measure.Gigabits(1, 0))
}

func TestTheJSONKeysAreThePromisedOnes(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	file, err := measure.OpenJSON("-", &text)
	require.NoError(t, err)
	require.NoError(t, file.Write(measure.Result{Rate: 1, Machine: measure.ThisMachine()}))
	require.NoError(t, file.Close())
	keys := map[string]any{}
	require.NoError(t, json.Unmarshal(text.Bytes(), &keys))
	for _, key := range []string{
		"rate_rps", "p50_us", "p99_us", "p999_us", "goodput_gbps", "allocs_per_rpc", "retransmits", "errors",
		"cacheline_rtt_ns", "cacheline_rtt_after_ns", "client_cpu_ns_per_rpc", "server_cpu_ns_per_rpc", "machine",
	} {
		require.Contains(t, keys, key)
	}
}

func TestAResultReplacesAnOlderOneOnlyWhenItIsThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "result.json")
	const older = "a result that is longer than the new one"
	require.NoError(t, os.WriteFile(path, []byte(older), 0o600))

	file, err := measure.OpenJSON(path, nil)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.Equal(t, older, contents(t, path), "the run failed")

	file, err = measure.OpenJSON(path, nil)
	require.NoError(t, err)
	require.NoError(t, file.Write(7))
	require.NoError(t, file.Close())
	require.Equal(t, "7\n", contents(t, path))
}

func contents(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func TestARunWithoutAResultLeavesNoFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "result.json")
	file, err := measure.OpenJSON(path, nil)
	require.NoError(t, err)
	require.FileExists(t, path)
	require.NoError(t, file.Close())
	require.NoFileExists(t, path)

	nowhere, err := measure.OpenJSON("", nil)
	require.NoError(t, err)
	require.NoError(t, nowhere.Write(1))
	require.NoError(t, nowhere.Close())
}

func TestAPathThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	_, err := measure.OpenJSON(filepath.Join(t.TempDir(), "missing", "x.json"), nil)
	require.ErrorContains(t, err, "cannot be written")
	_, err = measure.OpenJSON(t.TempDir(), nil)
	require.Error(t, err, "a folder")
}

func TestLongLinesAreFoldedAtSpaces(t *testing.T) {
	t.Parallel()
	const line = "p50 1 µs, p99 2 µs, max 3 µs"
	require.Equal(t, line, measure.Fold(line, 0, 2))
	require.Equal(t, line, measure.Fold(line, 28, 2))
	require.Equal(t, "p50 1 µs, p99 2 \n  µs, max 3 µs", measure.Fold(line, 16, 2))
	require.Equal(t, "unbreakable \n 7", measure.Fold("unbreakable 7", 3, 4))
	require.Equal(t, "µs", measure.Shorten("µs", 2))
	require.Equal(t, "mill…", measure.Shorten("milliseconds", 5))
	require.Empty(t, measure.Shorten("x", 0))
}

func TestNumbersAreWrittenForPeople(t *testing.T) {
	t.Parallel()
	require.Equal(t, "2.31 M", measure.Count(2.31e6))
	require.Equal(t, "12.3 k", measure.Count(12345))
	require.Equal(t, "999", measure.Count(999))
	require.Equal(t, "1.00 k", measure.Count(999.9))
	require.Equal(t, "0", measure.Count(0))
	require.Equal(t, "7.60 µs", measure.Micros(7.6))
	require.Equal(t, "1.50 ms", measure.Short(1500*time.Microsecond))
	require.Equal(t, "32 B", measure.Size(32))
	require.Equal(t, "8 MiB", measure.Size(8<<20))
	require.Equal(t, "1 call", measure.Plural(1, "call"))
	require.Equal(t, "64 calls", measure.Plural(64, "call"))
}

func TestTableColumnsLineUp(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	table := measure.Table{Header: []string{"what", "µs"}, Rows: [][]string{{"a", "1"}, {"longer", "100"}}}
	require.NoError(t, table.Write(&b))
	require.Equal(t, "what     µs\n───────────\na         1\nlonger  100\n", b.String())
}
