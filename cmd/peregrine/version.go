package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/dpdk"
	"github.com/peregrine-rpc/peregrine/wire"
)

// version says what this program was built from, and what it can do.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	return describeBuild(info, backends())
}

func describeBuild(info *debug.BuildInfo, backends []string) string {
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	built := info.Main.Version
	if built == "" {
		built = "(devel)"
	}
	revision := set["vcs.revision"]
	switch {
	case revision == "":
		revision = "unknown"
	case set["vcs.modified"] == "true":
		revision += ", changed since"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "peregrine %s\n", built)
	for _, line := range [][2]string{
		{"revision", revision},
		{"go", fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)},
		{"protocol", fmt.Sprint(wire.Version)},
		{"backends", strings.Join(backends, ", ")},
	} {
		fmt.Fprintf(&b, "  %-10s%s\n", line[0], line[1])
	}
	return b.String()
}

// backends names those that this program can open.
func backends() []string {
	names := transport.Drivers()
	if !dpdk.Built {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "dpdk" })
	}
	return names
}
