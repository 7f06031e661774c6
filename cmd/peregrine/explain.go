package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/peregrine-rpc/peregrine/flight"
)

func newExplain() *cobra.Command {
	var call string
	var method int
	var choice flight.Choice
	cmd := &cobra.Command{
		Use:   "explain FILE",
		Short: "Tell in words what happened to calls, of a flight recording",
		Long: `Explain reads what a flight recorder has kept, and tells of calls: how long they
waited for a slot, how often and why they were sent again, and how they ended.
Without flags it tells of those that were not over, that failed, and that took
longest. Recordings are made by --flight, and by the package flight.`,
		Example: `  peregrine explain 20261128T101500.000-4711-1.rec
  peregrine explain f.rec --failed --method 7
  peregrine explain f.rec --call 1.0.3.17`,
		Args: arguments(1, 1, "a recording, such as f.rec"),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := errors.Join(within("most", choice.Most, 1, 1<<30), within("method", method, -1, 1<<16-1))
			if call != "" {
				id, bad := flight.ParseID(call)
				choice.Call, err = &id, errors.Join(err, bad)
			}
			if method >= 0 {
				m := uint16(method)
				choice.Method = &m
			}
			if err != nil {
				return misuse(cmd, err)
			}
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			recording, err := flight.Read(file)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return recording.Explain(cmd.OutOrStdout(), choice)
		},
	}
	cmd.Flags().StringVar(&call, "call", "", "tell of this `call` only, by the numbers that explain shows")
	cmd.Flags().IntVar(&method, "method", -1, "tell of this method only (-1: all)")
	cmd.Flags().BoolVar(&choice.Failed, "failed", false, "tell of what failed only")
	cmd.Flags().IntVar(&choice.Most, "most", 10, "how many to tell of")
	return cmd
}
