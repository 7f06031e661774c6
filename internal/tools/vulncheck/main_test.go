package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhereTheDatabaseIsOutOfReachNothingWasChecked(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()
	for _, db := range []string{gone.URL, "http://127.0.0.1:1", "file://" + t.TempDir(), "no URL at all\n"} {
		err := run(t.Context(), "../../..", db)
		require.ErrorContains(t, err, "nothing was checked", db)
	}
}

func TestModulesAreFound(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, folder := range []string{".", "bench", "x/y", "testdata/z"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, folder), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(root, folder, "go.mod"), nil, 0o600))
	}
	found, err := modulesOf(root)
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(root, "bench"), root, filepath.Join(root, "x/y")}, found)
}
