package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPerfDrawsWhatTheConnectionDid(t *testing.T) {
	t.Parallel()
	server := serve(t)
	path := filepath.Join(t.TempDir(), "run.svg")
	_, stderr, err := output(t, "perf", server.addr, "--mode", "upload", "--size", "64KiB", "--duration", "500ms", "--warmup", "50ms",
		"--patience", "1m", "--plot", path)
	require.NoError(t, err, stderr)
	server.end(t)
	svg, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, title := range []string{"rate", "window", "round trip, smoothed", "above the least so far: queues"} {
		require.Contains(t, string(svg), ">"+title+"<")
	}
	lines := 0
	for decoder := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "path" {
			for _, a := range start.Attr {
				if a.Name.Local == "d" && strings.Count(a.Value, "L") > 3 {
					lines++
				}
			}
		}
	}
	require.Equal(t, 4, lines)
	require.NotContains(t, string(svg), "NaN")
}
