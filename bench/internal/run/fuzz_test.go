package run

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParseBenchmark reads the output of benchmarks. Figures are those of a line
// that begins with the benchmark's name.
func FuzzParseBenchmark(f *testing.F) {
	f.Add("goos: linux\nBenchmarkX/part-8   100   12.5 ns/op   0 B/op\nPASS\n", "BenchmarkX/part")
	f.Add("BenchmarkX 1 2 ns/op\nBenchmarkX-2 1 3 ns/op 7", "BenchmarkX")
	f.Add("BenchmarkX-8 100 many ns/op", "BenchmarkX")
	f.Add("BenchmarkX-8 100", "BenchmarkX")
	f.Fuzz(func(t *testing.T, output, name string) {
		values, err := parseBenchmark(output, name)
		if err != nil {
			require.ErrorContains(t, err, name)
			return
		}
		require.Contains(t, output, name)
		require.NotEmpty(t, values)
		fields := strings.Fields(output)
		for unit := range values {
			require.Contains(t, fields, unit)
		}
	})
}
