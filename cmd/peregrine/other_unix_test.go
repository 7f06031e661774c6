//go:build unix

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// These are not parallel: they change PATH.

func TestBridgeRunsTheProgramOfTheOtherModule(t *testing.T) {
	folder := t.TempDir()
	script := "#!/bin/sh\n[ \"$1\" = --killed ] && kill -9 $$\n[ \"$1\" = --broken ] && echo it is broken >&2 && exit 1\necho \"$@\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(folder, bridgeProgram), []byte(script), 0o755))
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	stdout, _, err := output(t, "bridge", "--http", "127.0.0.1:8080", "--to", "127.0.0.1:31850")
	require.NoError(t, err)
	require.Equal(t, "--http 127.0.0.1:8080 --to 127.0.0.1:31850\n", stdout)
	_, stderr, err := output(t, "bridge", "--broken")
	require.Error(t, err)
	require.Equal(t, "it is broken\n", stderr, "it has said so itself")
	_, stderr, err = output(t, "bridge", "--killed")
	require.Error(t, err)
	require.Contains(t, stderr, "peregrine-bridge: signal: killed", "it has said nothing")
}

func TestPerfOfGRPCRunsTheProgramOfTheOtherModule(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, perfGRPCProgram), []byte("#!/bin/sh\necho \"$@\"\n"), 0o755))
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	for _, args := range [][]string{{"--grpc", "-c", "50", "127.0.0.1:31850", "--help"}, {"-c", "50", "--grpc", "127.0.0.1:31850", "--help"}} {
		stdout, _, err := output(t, append([]string{"perf"}, args...)...)
		require.NoError(t, err)
		require.Equal(t, "-c 50 127.0.0.1:31850 --help\n", stdout)
	}
	_, stderr, err := output(t, "perf", "127.0.0.1:31850", "--grpc=true")
	require.Error(t, err)
	require.Contains(t, stderr, "write --grpc alone")
}

func TestBridgeSaysHowItsProgramIsInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, stderr, err := output(t, "bridge", "--http", "127.0.0.1:8080")
	require.Error(t, err)
	require.Contains(t, stderr, "go -C grpc build -o .. ./cmd/peregrine-bridge")
}
