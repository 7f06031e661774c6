//go:build unix

package main

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatHappenedIsSavedWhenAskedAndExplained(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "recordings")
	s := serve(t, "--flight", folder)
	require.Positive(t, perf(t, s.addr)["calls"])
	require.NoError(t, s.Process.Signal(syscall.SIGUSR1))
	var found []string
	require.Eventually(t, func() bool {
		found, _ = filepath.Glob(filepath.Join(folder, "*.rec"))
		return len(found) == 1
	}, time.Minute, time.Millisecond)
	s.end(t) // which waits for the file to be whole
	text, stderr, err := output(t, "explain", found[0], "--most", "2")
	require.NoError(t, err, stderr)
	require.Contains(t, text, "requests answered")
	require.Contains(t, text, "connected with the client ")
	require.Contains(t, text, "was answered after ")
	require.Contains(t, text, "more.")

	_, stderr, err = output(t, "explain", found[0], "--call", "first")
	require.Error(t, err)
	require.Contains(t, stderr, "1.0.3.17")
	_, stderr, err = output(t, "explain", "explain_unix_test.go")
	require.Error(t, err)
	require.Contains(t, stderr, "no recording")
}
