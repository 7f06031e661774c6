package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryCommandHasAManualPage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, stderr, err := output(t, "man", dir)
	require.NoError(t, err, stderr)
	commands := newRoot().Commands()
	require.Greater(t, len(commands), 5)
	for _, c := range commands {
		if c.Hidden {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, "peregrine-"+c.Name()+".1"))
		require.NoError(t, err)
		page := string(text)
		require.Contains(t, page, `.TH "PEREGRINE-`+strings.ToUpper(c.Name())+`" "1"`)
		require.Contains(t, page, c.Short)
		require.Contains(t, page, ".SH EXAMPLE")
		require.NotContains(t, page, "Auto generated")
	}
	text, err := os.ReadFile(filepath.Join(dir, "peregrine-serve.1"))
	require.NoError(t, err)
	require.Contains(t, string(text), `\fB--config\fP`)
	require.NotContains(t, string(text), "until-eof", "it is for programs")
}

func TestManualPagesNeedAFolder(t *testing.T) {
	t.Parallel()
	_, stderr, err := output(t, "man", filepath.Join(t.TempDir(), "none"))
	require.Error(t, err)
	require.Contains(t, stderr, "cannot write the manual pages")
	_, stderr, err = output(t, "man")
	require.Error(t, err)
	require.Contains(t, stderr, "FOLDER is missing")
}
