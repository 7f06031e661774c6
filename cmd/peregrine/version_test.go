package main

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAVersionNamesItsRevision(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{
		Main:     debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abcdef"}, {Key: "vcs.modified", Value: "true"}},
	}
	text := describeBuild(info, []string{"udp", "xdp"})
	require.Contains(t, text, "peregrine v1.2.3\n")
	require.Contains(t, text, "abcdef, changed since\n")
	require.Contains(t, text, "udp, xdp\n")
	require.Contains(t, describeBuild(new(debug.BuildInfo), nil), "peregrine (devel)\n  revision  unknown\n")
}
