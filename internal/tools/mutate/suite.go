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

// suite is the tests of a package.
type suite struct {
	root, scratch, name string
	usual               time.Duration // processor time that they take
}

// tryAll tries mutants until the time is over.
func (s *suite) tryAll(ctx context.Context, mutants []*mutant, workers int) error {
	if passed, err := s.try(ctx, nil); err != nil || !passed {
		return errors.Join(err, errors.New("the tests fail without any change, or did not end in time"))
	}
	next, errs := make(chan *mutant), make(chan error, workers)
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for m := range next {
				passed, err := s.try(ctx, m)
				switch {
				case ctx.Err() != nil: // nothing is known
				case errors.Is(err, errUnviable):
					m.verdict = unviable
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
	var err error
	for _, m := range mutants {
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

var errUnviable = errors.New("it does not compile")

// try says whether the tests pass with a mutant; nil: without any, to see what that takes.
func (s *suite) try(ctx context.Context, m *mutant) (passed bool, err error) {
	dir, err := os.MkdirTemp(s.scratch, "try")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "tests")
	args := []string{"test", "-c", "-vet=off", "-o", binary}
	if m != nil {
		overlay, err := s.overlay(dir, m)
		if err != nil {
			return false, err
		}
		args = append(args, "-overlay", overlay)
	}
	build := exec.CommandContext(ctx, "go", append(args, "./"+s.name)...)
	build.Dir = s.root
	if out, err := build.CombinedOutput(); err != nil {
		if m != nil {
			return false, errUnviable
		}
		return false, fmt.Errorf("%w: %s", err, out)
	}
	passed, used, err := s.run(ctx, binary)
	if m == nil {
		s.usual = used
	}
	return passed, err
}

// overlay writes a mutant's file, and what has the compiler take it.
func (s *suite) overlay(dir string, m *mutant) (string, error) {
	original := filepath.Join(s.root, m.file)
	text, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	changed, err := m.apply(string(text))
	if err != nil {
		return "", err
	}
	mutated, overlay := filepath.Join(dir, "mutated.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{original: mutated}})
	return overlay, errors.Join(err, os.WriteFile(mutated, []byte(changed), 0o600), os.WriteFile(overlay, replace, 0o600))
}

// run runs tests until they end, the first one fails, or they have taken too much.
func (s *suite) run(ctx context.Context, binary string) (passed bool, used time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limits := fmt.Sprintf("ulimit -v %d; ", memory)
	if s.usual > 0 {
		limits += "ulimit -t " + strconv.Itoa(int((slack*s.usual+grace)/time.Second)) + "; "
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", limits+`exec "$@"`, "sh", binary, "-test.short", "-test.timeout", asleep.String())
	cmd.Dir = filepath.Join(s.root, s.name)
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
