package main

import "github.com/spf13/cobra"

const bridgeProgram = "peregrine-bridge"

func newBridge() *cobra.Command {
	return &cobra.Command{
		Use:   "bridge [flags of peregrine-bridge]",
		Short: "Join gRPC over HTTP/2 and gRPC over Peregrine",
		Long: `Bridge runs peregrine-bridge, which serves ordinary gRPC and grpc-web and
forwards to a Peregrine server, or the reverse. That is a program of its own,
found beside this one or by PATH. A clone builds it by:

  ` + buildOther(bridgeProgram),
		Example: `  peregrine bridge --http 127.0.0.1:8080 --to ` + defaultAddr + `
  peregrine bridge --listen ` + defaultURL + ` --grpc 127.0.0.1:50051`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			return runOther(cmd, bridgeProgram, args)
		},
	}
}
