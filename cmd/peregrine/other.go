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

// otherError is of such a program that has failed, and has said why.
type otherError struct{ error }

func (e otherError) Unwrap() error { return e.error }

// runOther runs such a program to its end; an interrupt reaches it, too.
func runOther(cmd *cobra.Command, name string, args []string) error {
	path, err := findOther(name)
	if err != nil {
		return err
	}
	program := exec.CommandContext(cmd.Context(), path, args...)
	program.Cancel = func() error { return program.Process.Signal(os.Interrupt) }
	program.Stdout, program.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
	err = program.Run()
	var exit *exec.ExitError
	switch {
	case err == nil || cmd.Context().Err() != nil:
		return nil
	case errors.As(err, &exit) && exit.Exited():
		return otherError{err}
	}
	return fmt.Errorf("%s: %w", name, err)
}

// buildOther is the command that builds such a program. Its module stands on this one as it is in the clone, so that
// go install cannot have it by a version.
func buildOther(name string) string { return "go -C grpc build -o .. ./cmd/" + name }

// findOther looks beside this program, then in PATH.
func findOther(name string) (string, error) {
	if self, err := os.Executable(); err == nil {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), name)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%s is not installed: in a clone, %s builds it beside peregrine", name, buildOther(name))
	}
	return path, err
}
