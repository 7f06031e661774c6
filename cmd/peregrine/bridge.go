package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"
)

// bridgeProgram is of the module that depends on gRPC, which this one must not.
const bridgeProgram = "peregrine-bridge"

func newBridge() *cobra.Command {
	return &cobra.Command{
		Use:   "bridge [flags of peregrine-bridge]",
		Short: "Join gRPC over HTTP/2 and gRPC over Peregrine",
		Long: `Bridge runs peregrine-bridge, which serves ordinary gRPC and grpc-web and
forwards to a Peregrine server, or the reverse. That is a program of its own,
found beside this one or by PATH:

  go install github.com/peregrine-rpc/peregrine/grpc/cmd/peregrine-bridge@latest`,
		Example: `  peregrine bridge --http 127.0.0.1:8080 --to ` + defaultAddr + `
  peregrine bridge --listen ` + defaultURL + ` --grpc 127.0.0.1:50051`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			path, err := findBridge()
			if err != nil {
				return err
			}
			program := exec.CommandContext(cmd.Context(), path, args...)
			program.Cancel = func() error { return program.Process.Signal(os.Interrupt) }
			program.Stdout, program.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			if err := program.Run(); err != nil && cmd.Context().Err() == nil {
				return fmt.Errorf("%s: %w", bridgeProgram, err)
			}
			return nil
		},
	}
}

// findBridge looks beside this program, then in PATH.
func findBridge() (string, error) {
	if self, err := os.Executable(); err == nil {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), bridgeProgram)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(bridgeProgram)
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%s is not installed: "+
			"go install github.com/peregrine-rpc/peregrine/grpc/cmd/%[1]s@latest", bridgeProgram)
	}
	return path, err
}
