// Command mutate changes the code, one operator at a time, and counts the changes that no test notices.
//
//	mutate [-root dir] [-budget 1h] [-workers n] [-seed n] [package ...]
//
// gremlins (github.com/go-gremlins/gremlins) finds what may be changed. All changes are in one program, that is told which to make,
// and notes which tests of the package come by which. They are tried in an order that is drawn, so that those for which the budget
// of a package suffices are a sample of all; each with the tests that come by, with -short and the cheapest first. It prints the mutants that live in the form of equivalent.txt, which lists
// those that change nothing, and fails if fewer than 92 % of the others are killed. Interrupted, it counts what it has tried. No
// verdict depends on the machine's speed: who computes five times as long as the tests do without a change is stopped, and was
// noticed. It is not for CI.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"
)

const (
	gremlins = "github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0"
	// wanted is how much of what is not equivalent has to be killed.
	wanted = 0.92
)

// usual are mutated if none are named.
var usual = []string{"wire", "cc", "internal/netstack", "core/packet", "core", "transport/udp", "."}

func main() {
	root := flag.String("root", ".", "the repository's top folder")
	budget := flag.Duration("budget", time.Hour, "how long to go on with a package")
	workers := flag.Int("workers", 2, "mutants to try at a time")
	seed := flag.Uint64("seed", 1, "draws the order in which they are tried")
	flag.Parse()
	names := flag.Args()
	if len(names) == 0 {
		names = usual
	}
	if err := run(*root, *budget, *workers, *seed, names); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(root string, budget time.Duration, workers int, seed uint64, names []string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	known, err := equivalents(filepath.Join(root, "internal/tools/mutate/equivalent.txt"))
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	install := exec.Command("go", "install", gremlins)
	install.Dir, install.Env, install.Stderr = scratch, append(os.Environ(), "GOBIN="+scratch), os.Stderr
	if err := install.Run(); err != nil {
		return fmt.Errorf("installing %s: %w", gremlins, err)
	}
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var few error
	for i, name := range names {
		mutants, err := find(root, filepath.Join(scratch, "gremlins"), name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s := suite{root: root, scratch: filepath.Join(scratch, strconv.Itoa(i)), name: name}
		if err := os.Mkdir(s.scratch, 0o700); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(interrupted, budget)
		err = s.tryAll(ctx, draw(mutants, known, seed), workers)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r := count(mutants)
		fmt.Printf("%s: %s\n", name, r)
		if r.rate() < wanted {
			few = errors.Join(few, fmt.Errorf("%s: fewer than %.0f %% are killed", name, 100*wanted))
		}
	}
	return few
}
