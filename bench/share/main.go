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
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := share(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "share:", err)
		os.Exit(1)
	}
}

// options are the command line's.
type options struct {
	root, out   string
	controllers []string
	runs        int
	timing
}

func parse(args []string) (options, error) {
	o := options{timing: timing{settle: 2 * time.Second, measured: 6 * time.Second}}
	flags := flag.NewFlagSet("share", flag.ContinueOnError)
	controllers := flags.String("cc", "auto,cubic", "controllers to compare, such as auto,swift")
	quick := flags.Bool("quick", false, "runs of half a second: to see that all works")
	flags.StringVar(&o.root, "root", "..", "folder of the main module")
	flags.StringVar(&o.out, "out", "", "file to write the document to (default: standard output)")
	flags.IntVar(&o.runs, "runs", 3, "runs of each contest, whose median counts")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || o.runs < 1 {
		return o, errors.New("there are only flags, and -runs is at least 1: see -help")
	}
	o.controllers = strings.Split(*controllers, ",")
	if *quick {
		o.runs, o.timing = 1, timing{settle: 300 * time.Millisecond, measured: 500 * time.Millisecond}
	}
	return o, nil
}

func share(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Dir(o.out)); err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	have, err := algorithms()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "peregrine-share")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "peregrine")
	build := exec.CommandContext(ctx, "go", "-C", o.root, "build", "-o", program, "./cmd/peregrine")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build what is to be measured: %w (-root names the main module's folder)", err)
	}
	// What else runs here shall not decide who is served: the relay is a router.
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, -20); err != nil {
		return fmt.Errorf("raise the priority: %w: run as root", err)
	}
	m := &measurement{program: program, options: o}
	for _, s := range sections(o.controllers, have) {
		if err := m.section(ctx, s); err != nil {
			return err
		}
	}
	text := m.document(revision(ctx, o.root))
	if o.out == "" {
		_, err = os.Stdout.WriteString(text)
		return err
	}
	return os.WriteFile(o.out, []byte(text), 0o644)
}

// revision names the source, where git knows it.
func revision(ctx context.Context, root string) string {
	text, err := exec.CommandContext(ctx, "git", "-C", root, "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}
