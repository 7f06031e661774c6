package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"
)

// Programs of the module that depends on gRPC, which this one must not, run as this one's
// commands where they are installed.

// runOther runs such a program to its end; an interrupt reaches it, too.
func runOther(cmd *cobra.Command, name string, args []string) error {
	path, err := findOther(name)
	if err != nil {
		return err
	}
	program := exec.CommandContext(cmd.Context(), path, args...)
	program.Cancel = func() error { return program.Process.Signal(os.Interrupt) }
	program.Stdout, program.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
	if err := program.Run(); err != nil && cmd.Context().Err() == nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// findOther looks beside this program, then in PATH.
func findOther(name string) (string, error) {
	if self, err := os.Executable(); err == nil {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), name)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%s is not installed: "+
			"go install github.com/peregrine-rpc/peregrine/grpc/cmd/%[1]s@latest", name)
	}
	return path, err
}
