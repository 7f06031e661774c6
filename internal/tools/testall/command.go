package main

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// run waits for cmd; its error repeats the command line.
func run(log io.Writer, cmd *exec.Cmd, stdout io.Writer) error {
	cmd.Stdout, cmd.Stderr = stdout, log
	err := start(cmd)
	if err == nil {
		err = wait(cmd)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(append([]string{filepath.Base(cmd.Path)}, cmd.Args[1:]...), " "), err)
	}
	return nil
}

// start starts cmd in a process group of its own.
func start(cmd *exec.Cmd) error {
	ownGroup(cmd)
	cmd.WaitDelay = 10 * time.Second // for what was left behind, and holds its output open
	if err := cmd.Start(); err != nil {
		return err
	}
	underWay.add(cmd.Process.Pid)
	return nil
}

// wait waits for cmd, and ends what it left behind.
func wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	underWay.end(cmd.Process.Pid)
	return err
}
