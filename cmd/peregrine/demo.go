package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/load"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// demoFault is the bad network of the demonstration unless --fault is given.
const demoFault = "loss=0.01,dup=0.01,reorder=0.05,seed=7"

// What the demonstration moves, in bytes.
const (
	demoSmall = 32
	demoLarge = 8 << 20
)

// demoPatience is so long that a host which is busy with other things is not
// taken for dead, and so short that a client whose farewell was lost does not
// keep the server for long.
const demoPatience = 30 * time.Second

type demoCommand struct {
	fault    string
	duration time.Duration
	results
	errOut io.Writer
}

func newDemo() *cobra.Command {
	var d demoCommand
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start a server and a client and see them work, in ten seconds",
		Long: `Demo starts a server as a second process on loopback and calls it: small echoes
one at a time and 64 at a time, uploads and downloads of 8 MiB checked by
checksum, and the small echoes again over a network that loses, reorders and
duplicates datagrams. Every reply is checked. It exits with an error if one was
wrong or missing.`,
		Example: `  peregrine demo
  peregrine demo --fault loss=0.05,delay=1ms
  peregrine demo --json demo.json`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.errOut = cmd.ErrOrStderr()
			if err := d.check(); err != nil {
				return misuse(cmd, err)
			}
			return d.during(cmd, func() error { return d.run(cmd.Context()) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&d.fault, "fault", demoFault, "the bad network of the last two rows, both ways; delay= and corrupt= work too")
	d.results.register(flags, "the results")
	flags.DurationVar(&d.duration, "duration", 10*time.Second, "time for all of it")
	_ = flags.MarkHidden("duration") // ten seconds is what is promised; tests take less
	return cmd
}

// phase is one row of the table.
type phase struct {
	name   string
	work   load.Work
	window int
	faulty bool
}

var phases = []phase{
	{"echo 32 B, 1 in flight", load.Echo{Size: demoSmall}, 1, false},
	{"echo 32 B, 64 in flight", load.Echo{Size: demoSmall}, 64, false},
	{"upload 8 MiB", load.Upload{Size: demoLarge, Verify: true}, 2, false},
	{"download 8 MiB", load.Download{Size: demoLarge, Verify: true}, 2, false},
	{"bad network, 1 in flight", load.Echo{Size: demoSmall}, 1, true},
	{"bad network, 64 in flight", load.Echo{Size: demoSmall}, 64, true},
}

// demoResult is one phase's, as JSON.
type demoResult struct {
	Phase string `json:"phase"`
	measure.Result
}

func (d *demoCommand) check() error {
	faulty := endpointFlags{cpu: unpinned, fault: d.fault}
	_, err := faulty.options()
	return errors.Join(err, within("duration", d.duration, time.Millisecond, mostTime))
}

func (d *demoCommand) run(ctx context.Context) (err error) {
	server, err := startServer(ctx, d.errOut)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	fmt.Fprintf(d.out, "server: process %d, %s\n", server.pid(), server.ready)
	to, err := resolveTarget(ctx, server.addr)
	if err != nil {
		return err
	}
	results := make([]demoResult, 0, len(phases))
	for i, p := range phases {
		progress := startProgress(d.out, fmt.Sprintf("%d/%d  %s", i+1, len(phases), p.name), d.phaseTime())
		result, err := d.measure(ctx, to, p)
		switch {
		case ctx.Err() != nil:
			progress.end("interrupted")
		case err != nil || result.Errors > 0 || result.Calls == 0:
			progress.end("failed")
		default:
			progress.end("done")
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if result.Calls > 0 || ctx.Err() == nil {
			result.Machine = measure.ThisMachine()
			results = append(results, demoResult{p.name, result})
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(results) == 0 {
		return unmeasured(ctx, nil)
	}
	fmt.Fprintln(d.out)
	if err := table(results).Write(d.out); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nThe bad network is %s, each way.\n", d.fault)
	if err := d.json.Write(results); err != nil {
		return err
	}
	return errors.Join(d.verdict(results), context.Cause(ctx))
}

// phaseTime is what one phase takes, its warm-up included.
func (d *demoCommand) phaseTime() time.Duration { return d.duration / time.Duration(len(phases)) }

// measure runs one phase over an endpoint of its own.
func (d *demoCommand) measure(ctx context.Context, to target, p phase) (result measure.Result, err error) {
	flags := endpointFlags{cpu: unpinned, patience: demoPatience}
	if p.faulty {
		flags.fault = d.fault
	}
	opts, err := flags.options()
	if err != nil {
		return result, err
	}
	e, err := to.open(to.clientURL(), opts...)
	if err != nil {
		return result, err
	}
	defer e.Close()
	session, err := to.dial(ctx, e)
	if err != nil {
		return result, err
	}
	warmup := d.phaseTime() / 10
	return load.Run(ctx, e, []*peregrine.Session{session}, load.Load{
		Work: p.work, Window: p.window, Warmup: warmup, Duration: d.phaseTime() - warmup,
		SampleEvery: 1, Grace: grace,
	})
}

func table(results []demoResult) measure.Table {
	t := measure.Table{Header: []string{"", "rate/s", "p50", "p99", "p99.9", "Gbit/s", "retransmitted", "errors"}}
	for _, r := range results {
		t.Rows = append(t.Rows, []string{
			r.Phase, measure.Count(r.Rate), measure.Micros(r.P50), measure.Micros(r.P99), measure.Micros(r.P999),
			fmt.Sprintf("%.2f", r.Goodput), fmt.Sprint(r.Retransmits), fmt.Sprint(r.Errors),
		})
	}
	return t
}

// verdict is an error if any reply was wrong or missing.
func (d *demoCommand) verdict(results []demoResult) error {
	var calls uint64
	for _, r := range results {
		calls += r.Calls
		if r.Errors > 0 {
			return fmt.Errorf("%s: %d replies were wrong or missing, first: %s", r.Phase, r.Errors, r.FirstError)
		}
		if r.Calls == 0 {
			return fmt.Errorf("%s: no call was completed", r.Phase)
		}
	}
	fmt.Fprintf(d.out, "All %s replies were complete and right.\n", measure.Count(float64(calls)))
	return nil
}
