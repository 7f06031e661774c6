package experiment

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Plan says what to run. Zero fields leave it to the experiment.
type Plan struct {
	// Seed decides all chance.
	Seed uint64
	// Controllers are names in package cc.
	Controllers []string
	// Rate of every link, in bits per second.
	Rate uint64
	// Clients is how many senders share the bottleneck.
	Clients int
	// Duration is the virtual time of each run once connections are open. The
	// first two fifths of it are left for the senders to settle, unless it is
	// that which is measured.
	Duration time.Duration
	// Progress, if set, is told of each run before it begins.
	Progress func(controller string)
}

// baseline is the controller that others are compared with.
const baseline = "none"

// Experiment is one question to congestion control.
type Experiment struct {
	Name, Short string
	// Run runs it for every controller of the plan. If the context ends, the
	// report is of what was found until then, and the error [context.Cause].
	Run func(context.Context, Plan) (*Report, error)
}

// All are the experiments there are.
var All = []Experiment{
	{"incast", "uploads of many clients to one server at once", runIncast},
	{"fairness", "equal flows; flows that join and leave", runFairness},
	{"mix", "small calls beside an incast", runMix},
	{"reverse", "an upload whose acknowledgements wait in a queue", runReverse},
	{"beside", "an upload that shares its way with others under no control", runBeside},
	{"share", "uploads beside TCP, by a model of it, over a slower link", runShare},
	{"slow", "many equal flows over a slower link", runSlow},
	{"calls", "small calls beside an upload over a slower link", runCalls},
	{"change", "a way that changes, is long, or is met by many short connections", runChange},
	{"loss", "an upload over links that lose at random", runLoss},
}

// Names are those of the experiments.
func Names() []string {
	var names []string
	for _, e := range All {
		names = append(names, e.Name)
	}
	return names
}

// Find returns the experiment of that name, or all for "all".
func Find(name string) ([]Experiment, error) {
	if name == "all" {
		return All, nil
	}
	if i := slices.Index(Names(), name); i >= 0 {
		return All[i : i+1], nil
	}
	return nil, fmt.Errorf("there is no experiment %q: choose one of %s, or all", name, strings.Join(Names(), ", "))
}

// each calls run for every controller, the baseline first, until ctx ends.
func (p Plan) each(ctx context.Context, run func(controller string) error) error {
	rest := slices.DeleteFunc(slices.Clone(p.Controllers), func(name string) bool { return name == baseline })
	for _, name := range append([]string{baseline}, rest...) {
		if ctx.Err() != nil {
			return nil
		}
		if p.Progress != nil {
			p.Progress(name)
		}
		if err := run(name); err != nil && ctx.Err() == nil {
			return fmt.Errorf("with %s: %w", name, err)
		}
	}
	return nil
}

// either is the plan's value alone, if it has one, or the usual ones.
func either[T comparable](planned T, usual ...T) []T {
	var zero T
	if planned != zero {
		return []T{planned}
	}
	return usual
}

const (
	// usualRate is that of experiments whose question is not the rate.
	usualRate uint64 = 25e9
	// usualDuration is that of most runs.
	usualDuration = 50 * time.Millisecond
	// erpcCredits is how many packets eRPC has in flight in a session.
	erpcCredits = 32
)

// credits names the setting.
func credits(n int) string {
	if n == 0 {
		return "default"
	}
	return fmt.Sprint(n)
}

// phases splits a run into the time to settle and the time that is measured.
func phases(d time.Duration) (settle, measured time.Duration) {
	settle = (d * 2 / 5).Truncate(tick)
	return settle, max(d-settle, tick)
}
