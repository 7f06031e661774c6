// Command instructions counts the processor's instructions that a small RPC takes, both sides together, by callgrind: a figure
// that no neighbour on the machine disturbs.
//
//	instructions [-root dir] [-against revision] [-functions n] [name ...]
//
// It runs the benchmarks below twice, the second time with three times as many RPCs, and divides the difference, so that the
// start is left out. With -against it does the same with another revision, in a work tree of its own, and prints the ratio. It
// needs valgrind. Names choose benchmarks by a part of theirs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// benchmark is one of a package's. Revisions whose default was no control know it by
// another name.
type benchmark struct {
	name, pkg, pattern, former string
	rpcs                       int // of the first run
}

var benchmarks = []benchmark{
	{"64 in flight, no control", "./core", "^BenchmarkSmallRPC$/^cc=none$", "", 10_000},
	{"64 in flight, swift", "./core", "^BenchmarkSmallRPC$/^cc=swift$", "", 10_000},
	{"64 in flight, auto", "./core", "^BenchmarkSmallRPC$/^cc=auto$", "", 10_000},
	{"a datagram each, no control", "./core", "^BenchmarkSmallRPC$/^uncoalesced$/^cc=none$", "^BenchmarkSmallRPC$/^window=64$/^uncoalesced$", 10_000},
	{"one in flight, no control", "./core", "^BenchmarkSmallRPC$/^alone$/^cc=none$", "^BenchmarkSmallRPC$/^window=1$", 10_000},
	{"sealed, 64 in flight, no control", "./core", "^BenchmarkSmallRPC$/^sealed$/^cc=none$", "", 10_000},
	{"sealed, a datagram each, no control", "./core", "^BenchmarkSmallRPC$/^sealed$/^uncoalesced$/^cc=none$", "", 10_000},
	{"sealed, one in flight, no control", "./core", "^BenchmarkSmallRPC$/^sealed$/^alone$/^cc=none$", "", 10_000},
	{"Submit, 64 in flight, no control", ".", "^BenchmarkSubmit$", "", 20_000},
	{"Call, 64 goroutines, no control", ".", "^BenchmarkCall$", "", 20_000},
	{"watched by nothing", ".", "^BenchmarkWatched$/^nothing$/^many$", "", 20_000},
	{"watched by metrics", ".", "^BenchmarkWatched$/^metrics$/^many$", "", 20_000},
	{"watched by a recorder", ".", "^BenchmarkWatched$/^recorder$/^many$", "", 20_000},
	{"watched by a capture", ".", "^BenchmarkWatched$/^capture$/^many$", "", 20_000},
	{"watched by a sample", ".", "^BenchmarkWatched$/^sample$/^many$", "", 20_000},
	{"watched alone by nothing", ".", "^BenchmarkWatched$/^nothing$/^alone$", "", 20_000},
	{"watched alone by metrics", ".", "^BenchmarkWatched$/^metrics$/^alone$", "", 20_000},
	{"watched alone by a recorder", ".", "^BenchmarkWatched$/^recorder$/^alone$", "", 20_000},
	{"watched alone by a capture", ".", "^BenchmarkWatched$/^capture$/^alone$", "", 20_000},
	{"watched alone by a sample", ".", "^BenchmarkWatched$/^sample$/^alone$", "", 20_000},
}

func main() {
	root := flag.String("root", ".", "the repository's top folder")
	against := flag.String("against", "", "a revision to compare with")
	functions := flag.Int("functions", 0, "print so many functions, of those that take the most")
	flag.Parse()
	if err := run(*root, *against, *functions, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "instructions:", err)
		os.Exit(1)
	}
}

func run(root, against string, functions int, names []string) error {
	if _, err := exec.LookPath("valgrind"); err != nil {
		return fmt.Errorf("%w: install the package valgrind", err)
	}
	scratch, err := os.MkdirTemp("", "instructions")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	before := ""
	if against != "" {
		before = filepath.Join(scratch, "before")
		if err := command(root, nil, "git", "worktree", "add", "--quiet", "--detach", before, against); err != nil {
			return err
		}
		defer command(root, nil, "git", "worktree", "remove", "--force", before)
	}
	for _, b := range benchmarks {
		if !chosen(b.name, names) {
			continue
		}
		now, err := b.count(root, b.pattern, scratch)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		line := fmt.Sprintf("%-36s %8.0f", b.name, now.total)
		if before != "" {
			was, err := b.count(before, b.pattern, scratch)
			if errors.Is(err, errNoBenchmark) && b.former != "" {
				was, err = b.count(before, b.former, scratch)
			}
			if err != nil {
				line += fmt.Sprintf("  %s: %v", against, err)
			} else {
				line += fmt.Sprintf("  %s: %8.0f  ratio %.3f", against, was.total, now.total/was.total)
			}
		}
		fmt.Println(line)
		for _, f := range now.most(functions) {
			fmt.Printf("  %8.1f %s\n", now.functions[f], f)
		}
	}
	return nil
}

// chosen says whether a name has one of the parts; all have where there are none.
func chosen(name string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(name, p) {
			return true
		}
	}
	return len(parts) == 0
}

// count counts a benchmark, by its pattern, in the work tree at a root.
func (b *benchmark) count(root, pattern, scratch string) (profile, error) {
	binary := filepath.Join(scratch, "test")
	if err := command(root, []string{"CGO_ENABLED=0"}, "go", "test", "-c", "-o", binary, b.pkg); err != nil {
		return profile{}, err
	}
	short, err := callgrind(binary, pattern, b.rpcs, scratch)
	if err != nil {
		return profile{}, err
	}
	long, err := callgrind(binary, pattern, 3*b.rpcs, scratch)
	if err != nil {
		return profile{}, err
	}
	return slope(short, long, 2*b.rpcs)
}

// callgrind runs a benchmark of so many RPCs. Nothing that the clock decides is to be counted: no collector, one thread,
// no preemption. Valgrind 3.19 knows no RDTSCP, which Go takes where the CPU has it.
func callgrind(binary, pattern string, rpcs int, scratch string) (profile, error) {
	out := filepath.Join(scratch, "callgrind.out")
	env := []string{"GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1,cpu.rdtscp=off"}
	if err := command(scratch, env, "valgrind", "--tool=callgrind", "--callgrind-out-file="+out, binary,
		"-test.run=^$", "-test.bench="+pattern, fmt.Sprintf("-test.benchtime=%dx", rpcs)); err != nil {
		return profile{}, err
	}
	text, err := exec.Command("callgrind_annotate", "--threshold=100", "--auto=no", out).Output()
	if err != nil {
		return profile{}, fmt.Errorf("callgrind_annotate: %w", err)
	}
	return parse(string(text))
}

// command runs a command in a folder. The error has what it said.
func command(dir string, env []string, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), env...)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
