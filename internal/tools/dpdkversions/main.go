// Command dpdkversions tries transport/dpdk with the versions of DPDK that Debian has, and the steps of its documents on fresh
// machines, each in a root of its own.
//
//	dpdkversions [-root dir] [step ...]
//
// It needs root, and what lacks it says and skips, or installs where CI is set. Roots and packages are kept in the user's cache
// folder. It exits with 1 if a step failed.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// skipError is why this host cannot run a step.
type skipError string

func (e skipError) Error() string { return string(e) }

type step struct {
	name string
	run  func(log io.Writer) error
}

func main() {
	root := flag.String("root", ".", "the repository's top folder")
	flag.Parse()
	repository, err := filepath.Abs(*root)
	if err == nil {
		err = os.Chdir(repository)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	steps := []step{
		{"debian 12", func(log io.Writer) error { return documents(log, "bookworm") }},
		{"debian 13", func(log io.Writer) error { return documents(log, "trixie", everyTest) }},
		{"newest", func(log io.Writer) error { return newest(log) }},
		{"arm64", func(log io.Writer) error { return arm64(log) }},
	}
	count := map[string]int{}
	for _, s := range steps {
		if flag.NArg() == 0 || slices.Contains(flag.Args(), s.name) {
			count[runStep(s)]++
		}
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", count["ok"], count["failed"], count["skipped"])
	if count["failed"] > 0 {
		os.Exit(1)
	}
}

// runStep returns ok, failed or skipped.
func runStep(s step) string {
	fmt.Printf("DPDK, %-12s ", s.name)
	start := time.Now()
	var log bytes.Buffer
	err := s.run(&log)
	result, reason := "ok", ""
	var skip skipError
	switch {
	case errors.As(err, &skip):
		result, reason = "skipped", string(skip)
	case err != nil:
		result, reason = "failed", err.Error()
	}
	fmt.Printf("%-8s %6.1f s  %s\n", result, time.Since(start).Seconds(), reason)
	if result == "failed" {
		os.Stdout.Write(log.Bytes())
	}
	return result
}

// needs are programs, and the packages that have them.
func needs(log io.Writer, packages map[string]string) error {
	if os.Geteuid() != 0 {
		return skipError("it makes roots of its own, which takes root")
	}
	var missing []string
	for program, pkg := range packages {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if os.Getenv("CI") == "" {
		return skipError(fmt.Sprintf("it needs the packages %v: apt-get install them", missing))
	}
	return run(log, "apt-get", append([]string{"install", "-qq", "--no-install-recommends"}, missing...)...)
}

func run(log io.Writer, program string, args ...string) error {
	return runCommand(log, exec.Command(program, args...))
}

func runCommand(log io.Writer, cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(cmd.Path), err)
	}
	return nil
}
