package crowd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/peregrine-rpc/peregrine/bench/internal/run"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
)

// Beside is a runner whose measuring goes on beside busy loops, one for each of
// the CPUs.
type Beside struct {
	run.Runner
	Self string // the program that does [Burn] under the name "burn"
	CPUs []int
}

// Run implements run.Runner.
func (b Beside) Run(ctx context.Context) (values map[string]float64, err error) {
	for _, cpu := range b.CPUs {
		cmd := exec.CommandContext(ctx, b.Self, "burn", strconv.Itoa(cpu))
		// A session of its own: else some kernels count it and us as one group.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("start a busy loop: %w", err)
		}
		defer func() {
			_ = stdin.Close()
			_ = cmd.Wait()
		}()
	}
	return b.Runner.Run(ctx)
}

// Burn uses up the CPU that its argument names until standard input ends.
func Burn(args []string) error {
	cpu, err := strconv.Atoi(strings.Join(args, " "))
	if err != nil {
		return fmt.Errorf("burn: want the number of a CPU, not %q", args)
	}
	if err := affinity.SetProcess(cpu); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
	}
}

// Confine runs a program in this one's place: `confine WHERE PROGRAM ARG...`.
// WHERE is the number of a CPU, or the folder of a control group.
func Confine(args []string) error {
	if len(args) < 2 {
		return errors.New("confine: want a CPU or a control group, and a program")
	}
	if cpu, err := strconv.Atoi(args[0]); err == nil {
		if err := affinity.SetProcess(cpu); err != nil {
			return err
		}
	} else if err := os.WriteFile(filepath.Join(args[0], "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		return fmt.Errorf("confine: %w", err)
	}
	return syscall.Exec(args[1], args[1:], os.Environ())
}

// quotaPeriod is what kernels use unless told.
const quotaPeriod = 100 * time.Millisecond

// Quota makes a control group that has a share of one CPU, and returns its
// folder and what removes it. It takes root.
func Quota(share float64) (dir string, remove func() error, err error) {
	limit := int(share * float64(quotaPeriod/time.Microsecond))
	period := int(quotaPeriod / time.Microsecond)
	for _, version := range []struct{ root, file, value string }{
		{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", strconv.Itoa(limit)},
		{"/sys/fs/cgroup", "cpu.max", fmt.Sprintf("%d %d", limit, period)},
	} {
		dir := filepath.Join(version.root, fmt.Sprintf("peregrine-bench-%d", os.Getpid()))
		if err = os.Mkdir(dir, 0o755); err != nil {
			continue
		}
		if err = os.WriteFile(filepath.Join(dir, version.file), []byte(version.value), 0); err == nil {
			return dir, func() error { return os.Remove(dir) }, nil
		}
		_ = os.Remove(dir)
	}
	return "", nil, fmt.Errorf("make a control group with a CPU quota: %w", err)
}
