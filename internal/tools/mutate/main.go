// Command mutate changes the code, one operator at a time, and counts the changes that no test notices.
//
//	mutate [-root dir] [-budget 2h] [-workers n] [package ...]
//
// It runs gremlins (github.com/go-gremlins/gremlins) over the packages, with -short, prints the mutants that live in the form of
// equivalent.txt, which lists those that change nothing, and fails if fewer than 92 % of the others are killed. What the budget
// does not suffice for is left out, and said to be. It is not for CI: the machine should have nothing else to do, or tests time
// out, which counts as neither.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	gremlins = "github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0"
	// wanted is how much of what is not equivalent has to be killed.
	wanted = 0.92
)

// packages are mutated if none are named.
var packages = []string{"wire", "cc", "internal/netstack", "core/packet", "core", "transport/udp", "."}

func main() {
	root := flag.String("root", ".", "the repository's top folder")
	budget := flag.Duration("budget", 2*time.Hour, "end after so long, with what there is by then")
	workers := flag.Int("workers", 2, "mutants to try at a time")
	flag.Parse()
	names := flag.Args()
	if len(names) == 0 {
		names = packages
	}
	ctx, cancel := context.WithTimeout(context.Background(), *budget)
	defer cancel()
	if err := run(ctx, *root, *workers, names); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root string, workers int, names []string) error {
	known, err := equivalents(filepath.Join(root, "internal/tools/mutate/equivalent.txt"))
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	install := exec.CommandContext(ctx, "go", "install", gremlins)
	install.Dir, install.Env, install.Stderr = scratch, append(os.Environ(), "GOBIN="+scratch), os.Stderr
	if err := install.Run(); err != nil {
		return fmt.Errorf("installing %s: %w", gremlins, err)
	}
	var few error
	for _, name := range names {
		if ctx.Err() != nil {
			fmt.Printf("%s: left out, since the time was over\n", name)
			continue
		}
		mutants, err := mutate(ctx, root, filepath.Join(scratch, "gremlins"), workers, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r, err := judge(root, mutants, known)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %s\n", name, r)
		if r.rate() < wanted {
			few = errors.Join(few, fmt.Errorf("%s: fewer than %.0f %% are killed", name, 100*wanted))
		}
	}
	return few
}

// mutant is what gremlins says of one.
type mutant struct {
	status, kind, file string
	line, column       int
}

// said is a line of its.
var said = regexp.MustCompile(`^\s*(KILLED|LIVED|TIMED OUT|NOT COVERED|NOT VIABLE|SKIPPED|RUNNABLE) (\w+) at (\S+):(\d+):(\d+)$`)

// mutate runs gremlins over a package, and takes in what it says until it, or the time, is over.
func mutate(ctx context.Context, root, tool string, workers int, name string) ([]mutant, error) {
	args := []string{"unleash", "./" + name, "--invert-logical", "--workers", strconv.Itoa(workers), "--timeout-coefficient", "20"}
	if name == "." || name == "core" {
		args = append(args, "--exclude-files", "/") // packages in folders below
	}
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = root, append(os.Environ(), "GOFLAGS=-short -vet=off"), os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it then takes its copies of the code away
	cmd.WaitDelay = time.Minute
	out, err := cmd.Output()
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	return parse(name, string(out)), nil
}

func parse(name, out string) (all []mutant) {
	for line := range strings.Lines(out) {
		if f := said.FindStringSubmatch(strings.TrimRight(line, "\n")); f != nil {
			m := mutant{status: f[1], kind: f[2], file: path.Join(name, f[3])}
			m.line, _ = strconv.Atoi(f[4])
			m.column, _ = strconv.Atoi(f[5])
			all = append(all, m)
		}
	}
	return all
}
