package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/dissector"
)

func TestTheDissectorIsPrintedOrInstalled(t *testing.T) {
	t.Parallel()
	printed, _, err := output(t, "dissector")
	require.NoError(t, err)
	require.Equal(t, dissector.Script, printed)

	folder := filepath.Join(t.TempDir(), "not", "there", "yet")
	told, _, err := output(t, "dissector", "--install", "--folder", folder)
	require.NoError(t, err)
	path := filepath.Join(folder, dissector.Name)
	require.Equal(t, "installed "+path+"\n", told)
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, dissector.Script, string(written))

	_, complaint, err := output(t, "dissector", "--folder", folder)
	require.Error(t, err)
	require.Contains(t, complaint, "--install")
	_, complaint, err = output(t, "dissector", "--install", "--folder", path)
	require.Error(t, err)
	require.Contains(t, complaint, "not a directory")
}
