package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/grpc/internal/testprogram"
)

// serve runs the server until the test ends, and returns its address.
func serve(t *testing.T, args ...string) (addr string) {
	t.Helper()
	return strings.TrimSpace(strings.TrimPrefix(testprogram.Start(t, run, args...), "listening on "))
}

func measured(t *testing.T, args ...string) result {
	t.Helper()
	path := filepath.Join(t.TempDir(), "result.json")
	require.NoError(t, run(t.Context(), append([]string{"--json", path}, args...), io.Discard))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var r result
	require.NoError(t, json.Unmarshal(text, &r))
	return r
}

func TestEveryMethodIsMeasuredOverBoth(t *testing.T) {
	t.Parallel()
	for over, at := range map[string]string{"peregrine": "udp://127.0.0.1:0", "grpc": "127.0.0.1:0"} {
		addr := serve(t, "--over", over, "--serve", at)
		for _, method := range methods {
			r := measured(t, "--over", over, "--call", method, "-c", "3", "-n", "50", "--connections", "2", "-m", `{"tenant":"a"}`, addr)
			require.Equal(t, map[string]int{"OK": 50}, r.Codes, "%s over %s", method, over)
			require.Equal(t, 50, r.Count)
			require.Positive(t, r.RPS)
			require.LessOrEqual(t, r.Fastest, r.Slowest)
			require.Len(t, r.Distribution, len(percentages))
			require.Equal(t, options{Call: method, Over: over, Size: 32, Concurrency: 3, Connections: 2, Total: 50}, r.Options)
		}
	}
}

func TestAMeasurementEndsInTimeOrWhenItIsInterrupted(t *testing.T) {
	t.Parallel()
	addr := serve(t, "--serve", "udp://127.0.0.1:0")
	var r result
	for d := 50 * time.Millisecond; r.Count == 0; d *= 2 { // a busy machine may take its time
		r = measured(t, "-z", d.String(), "-n", "1", addr)
		require.GreaterOrEqual(t, r.Total, d)
	}
	r = measured(t, "-r", "100", "-n", "11", addr)
	require.Equal(t, 11, r.Count)
	require.GreaterOrEqual(t, r.Total, 100*time.Millisecond, "the last begins a tenth of a second after the first")

	ctx, cancel := context.WithCancel(t.Context())
	printed := &strings.Builder{}
	time.AfterFunc(50*time.Millisecond, cancel)
	err := run(ctx, []string{"-n", "1000000000", addr}, printed)
	if err == nil { // else it was so soon that nobody was connected
		require.Contains(t, printed.String(), "count")
	}
}

func TestACallThatFailsIsCounted(t *testing.T) {
	t.Parallel()
	addr := serve(t, "--serve", "udp://127.0.0.1:0")
	printed := &strings.Builder{}
	err := run(t.Context(), []string{"-n", "3", "-c", "1", "-m", `{"UPPER-bad key":"x"}`, "--json", "-", addr}, printed)
	require.ErrorContains(t, err, "3 of 3 calls failed")
	var r result
	require.NoError(t, json.Unmarshal([]byte(printed.String()), &r), "standard output is the result alone")
	require.Equal(t, map[string]int{"Internal": 3}, r.Codes)
	require.Len(t, r.Reasons, 1)
}

func TestASealedServerIsMeasured(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "rack.psk")
	require.NoError(t, os.WriteFile(key, []byte(strings.Repeat("0f", 32)), 0o600))
	addr := serve(t, "--serve", "udp://127.0.0.1:0", "--psk", key)
	require.Equal(t, map[string]int{"OK": 10}, measured(t, "-n", "10", "--psk", key, addr).Codes)
}

func TestWhatCannotBeMeasuredIsTold(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"give one address":        {},
		"is too much":             {"--serve", "udp://127.0.0.1:0", "more"},
		"--call is one of":        {"--call", "None", "127.0.0.1:1"},
		"--over is":               {"--over", "carrier-pigeon", "127.0.0.1:1"},
		"--metadata is JSON":      {"-m", "tenant=a", "127.0.0.1:1"},
		"--concurrency is":        {"-c", "0", "127.0.0.1:1"},
		"--total is":              {"-n", "0", "127.0.0.1:1"},
		"say --plain":             {"--serve", "udp://0.0.0.0:0"},
		"reach this address: say": {"--over", "grpc", "--serve", "0.0.0.0:0"},
		"seal Peregrine":          {"--over", "grpc", "--psk", "none", "127.0.0.1:1"},
		"flag provided but":       {"--strange"},
	} {
		require.ErrorContains(t, run(t.Context(), args, io.Discard), want)
	}
	var help strings.Builder
	require.NoError(t, run(t.Context(), []string{"--help"}, &help))
	require.Contains(t, help.String(), "calls in all, or messages of streams; -n is the same")
	require.Contains(t, help.String(), "short for --total")
}
