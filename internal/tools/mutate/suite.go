package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// slack is how many times as much processor time as without a change the tests may take, and grace what they may beside.
	slack = 5
	grace = 5 * time.Second
	// asleep is after how long tests are ended that compute nothing, or very slowly.
	asleep = 10 * time.Minute
	// memory bounds a mutant's address space, in KiB.
	memory = 8 << 20
)

// story is one test.
type story struct {
	name    string
	usual   time.Duration // processor time that it takes without a change
	reached map[int]bool  // places of mutants that it comes by
}

// suite is the tests of a package, with all changes in them.
type suite struct {
	root, scratch, name string
	binary              string
	tests               []story // the cheapest first
}

// build compiles the tests.
func (s *suite) build(mutants []*mutant) error {
	files, err := instrument(s.root, s.name, mutants)
	if err != nil {
		return err
	}
	replace := map[string]string{}
	for path, text := range files {
		replace[path] = filepath.Join(s.scratch, fmt.Sprintf("changed%d.go", len(replace)))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			return err
		}
	}
	overlay := filepath.Join(s.scratch, "overlay.json")
	said, err := json.Marshal(map[string]any{"Replace": replace})
	if err := errors.Join(err, os.WriteFile(overlay, said, 0o600)); err != nil {
		return err
	}
	s.binary = filepath.Join(s.scratch, "tests")
	build := exec.Command("go", "test", "-c", "-vet=off", "-o", s.binary, "-overlay", overlay, "./"+s.name)
	build.Dir = s.root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// listen has each test alone, without a change, and notes which mutants it comes by.
func (s *suite) listen(ctx context.Context, workers int) error {
	list := exec.CommandContext(ctx, s.binary, "-test.list", "^(Test|Fuzz|Example)")
	list.Dir = filepath.Join(s.root, s.name)
	out, err := list.Output()
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(out)) {
		s.tests = append(s.tests, story{name: name, reached: map[int]bool{}})
	}
	err = each(workers, s.tests, func(t *story) error {
		log := filepath.Join(s.scratch, t.name)
		passed, used, err := s.run(ctx, []story{*t}, "MUTANTS_REACHED="+log)
		if err != nil || !passed {
			return errors.Join(err, fmt.Errorf("%s fails without any change, or did not end in time", t.name))
		}
		t.usual = used
		places, err := os.ReadFile(log)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for place := range strings.FieldsSeq(string(places)) {
			n, _ := strconv.Atoi(place)
			t.reached[n] = true
		}
		return err
	})
	slices.SortFunc(s.tests, func(a, b story) int { return cmp.Compare(a.usual, b.usual) })
	return err
}

// tryAll tries mutants until the time is over.
func (s *suite) tryAll(ctx context.Context, mutants []*mutant, workers int) error {
	if err := s.build(mutants); err != nil {
		return err
	}
	if err := s.listen(ctx, workers); err != nil {
		return err
	}
	return each(workers, mutants, func(p **mutant) error {
		m := *p
		if m.verdict != untried || ctx.Err() != nil {
			return nil
		}
		v, err := s.try(ctx, m)
		if ctx.Err() != nil {
			return nil // nothing is known
		}
		if m.verdict = v; v == lived {
			fmt.Println(m.place)
		}
		return err
	})
}

// try has the tests that come by a mutant, the cheapest first and then twice as many each time, until one fails.
func (s *suite) try(ctx context.Context, m *mutant) (verdict, error) {
	var tests []story
	for _, t := range s.tests {
		if t.reached[m.reached] {
			tests = append(tests, t)
		}
	}
	if len(tests) == 0 {
		return uncovered, nil
	}
	for n := 1; len(tests) > 0; n *= 2 {
		n = min(n, len(tests))
		passed, _, err := s.run(ctx, tests[:n], "MUTANT="+strconv.Itoa(m.number))
		if err != nil || !passed {
			return killed, err
		}
		tests = tests[n:]
	}
	return lived, nil
}

// run runs tests, told something by the environment, until they end, the first one fails, or they have taken too much.
func (s *suite) run(ctx context.Context, tests []story, told string) (passed bool, used time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limits := fmt.Sprintf("ulimit -v %d; ", memory)
	var names []string
	usual := time.Duration(0)
	for _, t := range tests {
		names = append(names, t.name)
		usual += t.usual
	}
	if usual > 0 {
		limits += "ulimit -t " + strconv.Itoa(int((slack*usual+grace)/time.Second)) + "; "
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", limits+`exec "$@"`, "sh", s.binary, "-test.short", "-test.timeout", asleep.String(),
		"-test.run", "^("+strings.Join(names, "|")+")$")
	cmd.Dir, cmd.Env = filepath.Join(s.root, s.name), append(os.Environ(), told)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Minute // for who has left its group
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		return false, 0, err
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for lines := bufio.NewReader(read); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(line, "--- FAIL") {
				cancel()
			}
		}
	}()
	err = cmd.Wait()
	write.Close()
	<-watched
	return err == nil, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// each calls f with all of a list, a few at a time, until one fails.
func each[T any](workers int, list []T, f func(*T) error) error {
	var group errgroup.Group
	group.SetLimit(workers)
	var failed atomic.Bool
	for i := range list {
		group.Go(func() error {
			if failed.Load() {
				return nil
			}
			err := f(&list[i])
			failed.Store(failed.Load() || err != nil)
			return err
		})
	}
	return group.Wait()
}
