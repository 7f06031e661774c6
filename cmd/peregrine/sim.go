package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/experiment"
	"github.com/peregrine-rpc/peregrine/internal/nearest"
)

type simCommand struct {
	seed        uint64
	controllers []string
	rate        float64
	clients     int
	duration    time.Duration
	document    string
	results
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
		Args:      arguments(1, 1, "one of "+strings.Join(experiment.Names(), ", ")+", or all"),
		ValidArgs: append(experiment.Names(), "all"),
		RunE: func(cmd *cobra.Command, args []string) error {
			experiments, err := s.check(args[0])
			if err != nil {
				return misuse(cmd, err)
			}
			return s.during(cmd, func() error { return s.run(cmd.Context(), experiments) })
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&s.seed, "seed", 1, "decides all chance")
	flags.StringSliceVar(&s.controllers, "cc", cc.Names(), "congestion controllers, separated by commas")
	flags.Float64Var(&s.rate, "rate", 0, "rate of every link in Gbit/s (default: the experiment's)")
	flags.IntVar(&s.clients, "clients", 0, "clients that send at once (default: the experiment's)")
	flags.DurationVar(&s.duration, "duration", 0, "virtual time of each run (default: the experiment's)")
	s.results.register(flags, "the figures")
	flags.StringVar(&s.document, "document", "", "put tables and charts into this Markdown file, at its marks (with all)")
	return cmd
}

// The bounds of what is sensible to simulate.
const (
	leastDuration, mostDuration = 5 * time.Millisecond, time.Minute
	leastRate, mostRate         = 0.1, 1000.0
	leastClients, mostClients   = 2, 10_000
)

// simLines is how often a line says how far an experiment is.
const simLines = time.Second

// check returns the experiments of that name if the flags fit them.
func (s *simCommand) check(name string) ([]experiment.Experiment, error) {
	experiments, err := experiment.Find(name)
	if err != nil {
		return nil, err
	}
	if s.rate != 0 {
		err = within("rate", s.rate, leastRate, mostRate)
	}
	if s.clients != 0 {
		err = errors.Join(err, within("clients", s.clients, leastClients, mostClients))
	}
	if s.duration != 0 {
		err = errors.Join(err, within("duration", s.duration, leastDuration, mostDuration))
	}
	if s.document != "" && name != "all" {
		err = errors.Join(err, fmt.Errorf("--document shows all experiments: use it with sim all, not sim %s", name))
	}
	for _, name := range s.controllers {
		if _, unknown := cc.Lookup(name); unknown != nil {
			err = errors.Join(err, fmt.Errorf("--cc: there is no controller %q%s; there are %s",
				name, nearest.DidYouMean(name, cc.Names()), strings.Join(cc.Names(), ", ")))
		}
	}
	return experiments, err
}

// progress tells of an experiment's runs, in lines for terminals and files alike.
func (s *simCommand) progress(name string) func(controller string) {
	var told time.Time
	return func(controller string) {
		if now := time.Now(); now.Sub(told) > simLines {
			told = now
			fmt.Fprintf(os.Stderr, "%s  %s\n", name, controller)
		}
	}
}

func (s *simCommand) run(ctx context.Context, experiments []experiment.Experiment) error {
	plan := experiment.Plan{
		Seed: s.seed, Controllers: s.controllers, Rate: uint64(s.rate * 1e9), Clients: s.clients, Duration: s.duration,
	}
	var reports []*experiment.Report
	for i, e := range experiments {
		plan.Progress = s.progress(fmt.Sprintf("%d/%d  %s", i+1, len(experiments), e.Name))
		report, err := e.Run(ctx, plan)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err := report.Print(s.out); err != nil {
			return err
		}
		reports = append(reports, report)
		if ctx.Err() != nil {
			return errors.Join(s.json.Write(reports), context.Cause(ctx))
		}
	}
	if s.document != "" {
		if err := experiment.Document(s.document, reports); err != nil {
			return err
		}
	}
	return s.json.Write(reports)
}
