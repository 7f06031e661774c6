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
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
		files, err := mutate(ctx, root, filepath.Join(scratch, "gremlins"), filepath.Join(scratch, "out.json"), workers, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r, err := judge(root, files, known)
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

// file is what gremlins writes of one.
type file struct {
	Name      string     `json:"file_name"`
	Mutations []mutation `json:"mutations"`
}

type mutation struct {
	Type   string `json:"type"`
	Status string `json:"status"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// mutate runs gremlins over a package.
func mutate(ctx context.Context, root, tool, out string, workers int, name string) ([]file, error) {
	args := []string{"unleash", "./" + name, "--silent", "--invert-logical", "--workers", strconv.Itoa(workers), "--timeout-coefficient", "20", "-o", out}
	if name == "." || name == "core" {
		args = append(args, "--exclude-files", "/") // packages in folders below
	}
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = root, append(os.Environ(), "GOFLAGS=-short -vet=off"), os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it then writes what it has
	cmd.WaitDelay = time.Minute
	if err := os.Remove(out); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return nil, err
	}
	data, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	var result struct {
		Files []file `json:"files"`
	}
	return result.Files, json.Unmarshal(data, &result)
}
