package main

import (
	"slices"

	"github.com/spf13/cobra"
)

const (
	perfGRPCProgram = "peregrine-grpc-perf"
	perfGRPCCommand = "perf-grpc"
)

// newPerfGRPC is what `perf --grpc` stands for.
func newPerfGRPC() *cobra.Command {
	return &cobra.Command{
		Use:                perfGRPCCommand,
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runOther(cmd, perfGRPCProgram, args)
		},
	}
}

// withPerfGRPC makes of `perf --grpc` the command that passes on all else as it is: cobra
// would take the flags, which are another program's, for perf's own.
func withPerfGRPC(args []string) []string {
	at := slices.Index(args, "--grpc")
	if at < 1 || args[0] != "perf" {
		return args
	}
	return slices.Concat([]string{perfGRPCCommand}, args[1:at], args[at+1:])
}
