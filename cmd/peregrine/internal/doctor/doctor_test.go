package doctor

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// examine is what doctor says of a sample.
func examine(t *testing.T, host, question string) *Diagnosis {
	t.Helper()
	return Examine(readSample(t, host).collect(t, question))
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, host := range sampleNames(t) {
		for _, question := range slices.Sorted(maps.Keys(readSample(t, host).Asked)) {
			name := host + "-" + question
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var text bytes.Buffer
				require.NoError(t, examine(t, host, question).Print(&text))
				path := filepath.Join("testdata", name+".golden")
				if *update {
					require.NoError(t, os.WriteFile(path, text.Bytes(), 0o644))
				}
				want, err := os.ReadFile(path)
				require.NoError(t, err)
				require.Equal(t, string(want), text.String())
			})
		}
	}
}
