package peregrine

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// Benchmarks measure what users will have: without the copies that poison needs.
func TestBenchmarksRunWithoutPoison(t *testing.T) {
	t.Parallel()
	if raceDetector {
		t.Skip("under the race detector nobody measures")
	}
	require.True(t, poisoned())
	self, err := os.Executable()
	require.NoError(t, err)
	out, err := exec.Command(self, "-test.run=^$", "-test.bench=^BenchmarkPoisoned$", "-test.benchtime=1x").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "BenchmarkPoisoned")
}

func BenchmarkPoisoned(b *testing.B) {
	if poisoned() && !raceDetector {
		b.Fatal("memory is poisoned while benchmarks run")
	}
}
