package main

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"

	"github.com/peregrine-rpc/peregrine/internal/tools/steps"
)

// goTest runs tests of the module in dir, adds them to the results, and logs what the failed ones printed. args are
// flags and packages. Tests that wait for something leave the processors to one package more than there are, and to more
// tests of each. All was vetted before. Only what hangs meets the timeout.
func goTest(log io.Writer, tests *results, dir string, args ...string) error {
	flags := []string{
		"-C", dir, "test", "-json", "-count=1", "-timeout=30m", "-vet=off",
		fmt.Sprintf("-p=%d", runtime.NumCPU()+1), fmt.Sprintf("-parallel=%d", 4*runtime.NumCPU()),
	}
	cmd := exec.Command("go", append(flags, args...)...)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := start(cmd); err != nil {
		return err
	}
	run := newResults()
	err = errors.Join(run.read(out, log), wait(cmd))
	run.writeFailures(log)
	tests.merge(run)
	if n := len(run.with(steps.Failed)); n > 0 {
		return fmt.Errorf("%d failed", n)
	}
	return err
}
