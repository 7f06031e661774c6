package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/peregrine-rpc/peregrine/internal/tools/steps"
)

// platforms must keep compiling; all but the host's own are cross-compiled.
var platforms = []string{"linux/amd64", "linux/arm64", "linux/386", "darwin/arm64", "windows/amd64"}

// allSteps are in the order in which they begin: with three at a time, the long ones are under way while the others, which
// compile, take their turns.
func allSteps(tests *results, required []string) []steps.Step {
	var all []steps.Step
	add := func(name string, run func(log io.Writer) error) {
		all = append(all, steps.Step{Name: name, Run: func(log io.Writer) (string, error) { return "", run(log) }})
	}
	if wouldInstall(required) {
		add("install libdpdk", install)
		all[0].First = true
	}
	add("gofmt", checkFormat)
	add("race", func(log io.Writer) error { return race(log, tests) })
	add("dpdk race", func(log io.Writer) error { return dpdkRace(log, tests) })
	for _, p := range platforms {
		add("build "+p, func(log io.Writer) error { return compile(log, p) })
	}
	add("lint", lint)
	add("test", func(log io.Writer) error { return plain(log, tests) })
	add("dpdk", func(log io.Writer) error { return dpdk(log, tests) })
	add("tools", func(log io.Writer) error { return nestedModule(log, tests, "internal/tools") })
	add("metrics/prom", func(log io.Writer) error { return nestedModule(log, tests, "metrics/prom") })
	add("grpc", func(log io.Writer) error { return nestedModule(log, tests, "grpc") })
	add("metrics/otel", func(log io.Writer) error { return nestedModule(log, tests, "metrics/otel") })
	add("bench", func(log io.Writer) error { return nestedModule(log, tests, "bench") })
	return all
}

func checkFormat(log io.Writer) error {
	var files bytes.Buffer
	if err := run(log, exec.Command("gofmt", "-l", "."), &files); err != nil {
		return err
	}
	if files.Len() > 0 {
		log.Write(files.Bytes())
		return errors.New("run gofmt -w on these files")
	}
	return nil
}

// compile builds and vets everything, tests included, for one platform.
func compile(log io.Writer, platform string) error {
	goos, goarch, _ := strings.Cut(platform, "/")
	for _, args := range [][]string{{"build", "-o", os.DevNull, "./..."}, {"vet", "./..."}} {
		cmd := exec.Command("go", args...)
		cmd.Env = append(cmd.Environ(), "GOOS="+goos, "GOARCH="+goarch)
		if err := run(log, cmd, log); err != nil {
			return err
		}
	}
	return nil
}

// inOrder are all packages, and first those whose tests wait the most: what begins last is waited for with idle processors.
var inOrder = []string{"./transport/iouring/...", "./transport/xdp/...", "./conformance/...", "./transport/...", "./..."}

// plain runs all tests, those of the covered packages with coverage: under the race detector, that would be compiled and
// counted at several times the price.
func plain(log io.Writer, tests *results) error {
	var list bytes.Buffer
	if err := run(log, exec.Command("go", append([]string{"list"}, inOrder...)...), &list); err != nil {
		return err
	}
	with, without := []string{"-cover"}, []string{}
	for _, pkg := range strings.Fields(list.String()) {
		if slices.Contains(covered, strings.TrimPrefix(pkg, module+"/")) {
			with = append(with, pkg)
		} else {
			without = append(without, pkg)
		}
	}
	return errors.Join(goTest(log, tests, ".", with...), goTest(log, tests, ".", without...))
}

func race(log io.Writer, tests *results) error {
	if err := raceDetector(); err != nil {
		return err
	}
	return goTest(log, tests, ".", append([]string{"-race", "-short"}, inOrder...)...)
}

// raceDetector returns a Skip where there is none.
func raceDetector() error {
	if out, err := exec.Command("go", "list", "-race", "runtime/race").CombinedOutput(); err != nil {
		return steps.Skip(strings.TrimSpace(string(out)))
	}
	return nil
}

// nestedModule checks a folder with its own go.mod, which ./... does not reach.
func nestedModule(log io.Writer, tests *results, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return steps.Skip("no " + dir + "/go.mod")
	}
	if err := run(log, exec.Command("go", "-C", dir, "vet", "./..."), log); err != nil {
		return err
	}
	return goTest(log, tests, dir, "./...")
}
