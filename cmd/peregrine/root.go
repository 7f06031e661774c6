package main

import "github.com/spf13/cobra"

// defaultURL is what serve listens on, and defaultAddr what demonstrations of
// it name.
const (
	defaultURL  = "udp://127.0.0.1:31850"
	defaultAddr = "127.0.0.1:31850"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "peregrine",
		Short: "Fast RPC over UDP: serve it, measure it, see it work",
		Long: `Peregrine is an RPC framework: one protocol engine over interchangeable
transports. This tool offers a server, a load generator, a ping, a relay, a
demonstration, a doctor for hosts, simulations of congestion, recordings of what
passes and what went wrong, a dissector for Wireshark, and a check of other
implementations.`,
		Example: `  peregrine demo
  peregrine serve                                 # in one terminal
  peregrine perf ` + defaultAddr + `                  # in another`,
		Version:       version(),
		Args:          noCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("{{.Version}}")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newServe(), newPerf(), newPerfGRPC(), newPing(), newRelay(), newBridge(), newDemo(), newDoctor(), newSim(), newTop(), newCapture(), newExplain(), newDissector(), newUnseal(), newConform(), newMan())
	return root
}
