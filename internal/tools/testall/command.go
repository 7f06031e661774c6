package main

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

// run waits for cmd; its error repeats the command line.
func run(log io.Writer, cmd *exec.Cmd, stdout io.Writer) error {
	cmd.Stdout, cmd.Stderr = stdout, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(append([]string{filepath.Base(cmd.Path)}, cmd.Args[1:]...), " "), err)
	}
	return nil
}
