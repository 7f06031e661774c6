package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASimulationPrintsItsFiguresAndWritesThem(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sim.json")
	stdout, stderr, err := output(t, "sim", "loss", "--cc", "swift", "--rate", "1", "--duration", "5ms", "--json", path)
	require.NoError(t, err, stderr)
	require.Contains(t, stdout, "Targets")
	require.Regexp(t, `^(1/1  loss  (none|swift)\n)+$`, stderr, "progress in plain lines, beside the figures")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var reports []struct {
		Experiment string
		Runs       []map[string]any
	}
	require.NoError(t, json.Unmarshal(text, &reports))
	require.Len(t, reports, 1)
	require.Equal(t, "loss", reports[0].Experiment)
	for _, run := range reports[0].Runs {
		require.Contains(t, []any{"none", "swift"}, run["cc"])
		require.Contains(t, run, "goodput_bps")
	}
}

func TestASimulationThatCannotBeIsAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"choose one of":                {"outcast"},
		"there is no controller":       {"loss", "--cc", "luck"},
		"--rate is from":               {"loss", "--rate", "-1"},
		"--clients is from":            {"loss", "--clients", "1"},
		"--duration is from":           {"loss", "--duration", "1ms"},
		"use it with sim all":          {"loss", "--document", "x.md"},
		"give one of incast, fairness": {},
	} {
		_, stderr, err := output(t, append([]string{"sim"}, args...)...)
		require.Error(t, err, args)
		require.Contains(t, stderr, want)
	}
}
