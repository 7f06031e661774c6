package main

import (
	"strings"

	"github.com/peregrine-rpc/peregrine/bench/internal/crowd"
	"github.com/peregrine-rpc/peregrine/bench/internal/report"
	"github.com/peregrine-rpc/peregrine/bench/internal/run"
	"github.com/peregrine-rpc/peregrine/bench/internal/suite"
)

// crowded is what is measured on hosts where the loops do not have a CPU each.
// quota is the folder of a control group; empty: there is none.
func crowded(quota string) document {
	return document{
		groups:  func(p plan) []suite.Group { return p.crowdedGroups(quota) },
		setting: plan.crowded,
	}
}

func (p plan) crowded() report.Setting {
	return report.Setting{
		Title: "Benchmarks on a crowded host", Command: "make bench-crowded",
		Common: []string{
			"no thread is pinned, unless a group says so; servers listen at `" + loopback + "`",
			"every `peregrine perf` has `" + strings.Join(p.timing(), " ") + "`",
		},
		Notes: []string{
			"What is judged is the default, `--poll adaptive`, beside loops that block: how far its slowest fresh start falls below\nthe median, and whether spinning ever costs anything.",
		},
	}
}

func (p plan) crowdedGroups(quota string) []suite.Group {
	groups := []suite.Group{
		p.crowdedGroup("Beside a busy loop on each CPU", "Two more processes, each a busy loop pinned to one of the two CPUs.", nil,
			func(r run.Runner) run.Runner { return crowd.Beside{Runner: r, Self: p.self, CPUs: []int{0, 1}} }),
		p.crowdedGroup("Both processes on one CPU", "All threads of both processes are confined to CPU 0.", []string{"0"}, nil),
	}
	if quota != "" {
		groups = append(groups, p.crowdedGroup("Under a quota of half a CPU",
			"Both processes together have 50 ms of CPU in each 100 ms.", []string{quota}, nil))
	}
	return groups
}

// crowdedGroup measures spinning and blocking loops, confined to a place or not,
// in what around makes of the host.
func (p plan) crowdedGroup(title, about string, place []string, around func(run.Runner) run.Runner) suite.Group {
	g := suite.Group{
		Title: title, About: about + " 32-byte messages in the continuation form.",
		Main: suite.Rate, Others: []suite.Metric{suite.P50, suite.P99, suite.ClientCPU, suite.ServerCPU, suite.Retransmits},
	}
	var prefix []string
	if place != nil {
		prefix = append([]string{p.self, "confine"}, place...)
	}
	for _, window := range []string{"1", "64"} {
		for _, poll := range []string{"adaptive", "block"} {
			pair := run.Pair{
				Server: run.Command{Prefix: prefix, Program: p.programs.peregrine, Verb: "serve",
					Common: flags{"--until-eof", loopback}, Flags: flags{"--poll", poll}},
				Client: run.Command{Prefix: prefix, Program: p.programs.peregrine, Verb: "perf",
					Common: p.timing(), Flags: flags{"--poll", poll, "--window", window}},
				Limit: p.duration + p.warmup + spare,
			}
			runner := run.Runner(pair)
			if around != nil {
				runner = around(pair)
			}
			g.Cases = append(g.Cases, suite.Case{Name: poll + ", " + window, Runner: runner})
		}
		g.Claims = append(g.Claims,
			suite.Claim{Text: "slowest start / median, adaptive, " + window + " in flight", Metric: suite.Rate, Of: "adaptive, " + window, Least: true, Bound: suite.AtLeast(0.5)},
			suite.Claim{Text: "slowest start / median, block, " + window + " in flight", Metric: suite.Rate, Of: "block, " + window, Least: true},
			suite.Claim{Text: "adaptive / block, " + window + " in flight", Metric: suite.Rate, Of: "adaptive, " + window, To: "block, " + window, Bound: suite.AtLeast(0.9)})
	}
	return g
}
