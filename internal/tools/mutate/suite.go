package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
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

// suite is the tests of a package, with all changes in them.
type suite struct {
	root, scratch, name string
	binary              string
	usual               time.Duration // processor time that they take
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

// tryAll tries mutants until the time is over.
func (s *suite) tryAll(ctx context.Context, mutants []*mutant, workers int) error {
	if err := s.build(mutants); err != nil {
		return err
	}
	passed, used, err := s.run(ctx, 0)
	if err != nil || !passed {
		return errors.Join(err, errors.New("the tests fail without any change, or did not end in time"))
	}
	s.usual = used
	next, errs := make(chan *mutant), make(chan error, workers)
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for m := range next {
				passed, _, err := s.run(ctx, m.number)
				switch {
				case ctx.Err() != nil: // nothing is known
				case err != nil:
					errs <- err
					return
				case passed:
					m.verdict = lived
					fmt.Println(m.place)
				default:
					m.verdict = killed
				}
			}
		})
	}
	for _, m := range mutants {
		if m.verdict != untried {
			continue
		}
		select {
		case next <- m:
			continue
		case err = <-errs:
		case <-ctx.Done():
		}
		break
	}
	close(next)
	working.Wait()
	return err
}

// run runs the tests with a mutant until they end, the first one fails, or they have taken too much.
func (s *suite) run(ctx context.Context, number int) (passed bool, used time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limits := fmt.Sprintf("ulimit -v %d; ", memory)
	if s.usual > 0 {
		limits += "ulimit -t " + strconv.Itoa(int((slack*s.usual+grace)/time.Second)) + "; "
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", limits+`exec "$@"`, "sh", s.binary, "-test.short", "-test.timeout", asleep.String())
	cmd.Dir, cmd.Env = filepath.Join(s.root, s.name), append(os.Environ(), "MUTANT="+strconv.Itoa(number))
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
