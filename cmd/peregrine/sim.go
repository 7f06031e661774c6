package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/experiment"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

type simCommand struct {
	seed        uint64
	controllers []string
	rate        float64
	clients     int
	duration    time.Duration
	json        string
	document    string
	out         io.Writer
}

func newSim() *cobra.Command {
	var s simCommand
	var list strings.Builder
	for _, e := range experiment.All {
		fmt.Fprintf(&list, "  %-10s%s\n", e.Name, e.Short)
	}
	cmd := &cobra.Command{
		Use:   "sim EXPERIMENT|all",
		Short: "Try congestion control in a simulated rack",
		Long: `Sim runs engines on a simulated network, in virtual time, with one congestion
controller after the other, and prints how they do. The same seed gives the same
figures. The experiments:

` + list.String() + `
Each says in its tables which rates and numbers of clients it has; --rate and
--clients make it one. "none" always runs, to compare with.`,
		Example: `  peregrine sim incast --clients 50 --rate 25 --cc swift
  peregrine sim loss
  peregrine sim all --json congestion.json        # takes minutes`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: append(experiment.Names(), "all"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.out = cmd.OutOrStdout()
			return s.run(cmd.Context(), args[0])
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&s.seed, "seed", 1, "decides all chance")
	flags.StringSliceVar(&s.controllers, "cc", cc.Names(), "congestion controllers, separated by commas")
	flags.Float64Var(&s.rate, "rate", 0, "rate of every link in Gbit/s (default: the experiment's)")
	flags.IntVar(&s.clients, "clients", 0, "clients that send at once (default: the experiment's)")
	flags.DurationVar(&s.duration, "duration", 0, "virtual time of each run (default: the experiment's)")
	flags.StringVar(&s.json, "json", "", "write the figures to this file (-: standard output)")
	flags.StringVar(&s.document, "document", "", "put tables and charts into this Markdown file, at its marks (with all)")
	return cmd
}

// The bounds of what is sensible to simulate.
const (
	leastDuration, mostDuration = 5 * time.Millisecond, time.Minute
	leastRate, mostRate         = 0.1, 1000
	leastClients, mostClients   = 2, 10_000
)

func (s *simCommand) run(ctx context.Context, name string) error {
	experiments, err := experiment.Find(name)
	if err != nil {
		return err
	}
	switch {
	case s.rate != 0 && !(s.rate >= leastRate && s.rate <= mostRate):
		return fmt.Errorf("--rate is from %v to %v Gbit/s, not %v", leastRate, mostRate, s.rate)
	case s.clients != 0 && (s.clients < leastClients || s.clients > mostClients):
		return fmt.Errorf("--clients is from %d to %d, not %d", leastClients, mostClients, s.clients)
	case s.duration != 0 && (s.duration < leastDuration || s.duration > mostDuration):
		return fmt.Errorf("--duration is from %v to %v, not %v", leastDuration, mostDuration, s.duration)
	case s.document != "" && name != "all":
		return fmt.Errorf("--document shows all experiments: use it with sim all, not sim %s", name)
	}
	for _, name := range s.controllers {
		if _, err := cc.Lookup(name); err != nil {
			return fmt.Errorf("--cc: %w", err)
		}
	}
	plan := experiment.Plan{
		Seed: s.seed, Controllers: s.controllers, Rate: uint64(s.rate * 1e9), Clients: s.clients, Duration: s.duration,
	}
	var reports []*experiment.Report
	for _, e := range experiments {
		report, err := e.Run(ctx, plan)
		if ctx.Err() != nil {
			return errInterrupted
		}
		if err != nil {
			return err
		}
		if err := report.Print(s.out); err != nil {
			return err
		}
		reports = append(reports, report)
	}
	if s.document != "" {
		if err := experiment.Document(s.document, reports); err != nil {
			return err
		}
	}
	if s.json != "" {
		return measure.WriteJSON(s.json, reports)
	}
	return nil
}
