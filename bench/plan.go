package main

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/peregrine-rpc/peregrine/bench/internal/report"
	"github.com/peregrine-rpc/peregrine/bench/internal/run"
	"github.com/peregrine-rpc/peregrine/bench/internal/suite"
)

// loopback is where servers listen and what clients send from.
const loopback = "udp://127.0.0.1:0"

// Server and client have a CPU each.
const (
	serverCPU = "0"
	clientCPU = "1"
)

// spare is what a client's process may take beside the measured time: opening
// sessions, warming up, waiting for the last replies.
const spare = time.Minute

// plan makes the cases of groups.
type plan struct {
	programs
	duration  time.Duration // of a run
	benchtime time.Duration // of a run of a Go benchmark
	warmup    time.Duration
}

func newPlan(p programs, o options) plan {
	if o.quick {
		return plan{p, o.duration, 200 * time.Millisecond, 200 * time.Millisecond}
	}
	return plan{p, o.duration, 2 * time.Second, 500 * time.Millisecond}
}

func (p plan) timing() []string {
	return []string{"--duration", p.duration.String(), "--warmup", p.warmup.String()}
}

func (p plan) serving() []string {
	return []string{"--until-eof", "--plain", "--cpu", serverCPU}
}

func (p plan) calling() []string { return append([]string{"--cpu", clientCPU}, p.timing()...) }

// document is what one invocation measures and writes.
type document struct {
	tag     string // that the programs are built with
	groups  func(plan) []suite.Group
	setting func(plan) report.Setting // as far as it differs
}

var (
	sockets  = document{groups: plan.groups, setting: plan.sockets}
	overDPDK = document{tag: "dpdk", groups: plan.dpdkGroups, setting: plan.dpdk}
)

func (p plan) sockets() report.Setting {
	return report.Setting{
		Title: "Benchmarks", Command: "make bench",
		Versions: []string{"google.golang.org/grpc v" + grpc.Version},
		Common:   p.common(),
		Notes: []string{
			"Loopback never splits a segmentation-offloaded send, which flatters every UDP sender: figures with it stand beside those\nwithout.",
			"The DPDK backend has a document of its own, [benchmarks-dpdk.md](benchmarks-dpdk.md).",
		},
	}
}

// common says what the commands in the document leave out.
func (p plan) common() []string {
	return []string{
		fmt.Sprintf("every `peregrine serve` has `--cpu %s`, which pins the loop's thread, and `%s` unless it names another URL", serverCPU, loopback),
		fmt.Sprintf("every `peregrine perf` has `--cpu %s --duration %v --warmup %v`; `--call` pins its whole process", clientCPU, p.duration, p.warmup),
		fmt.Sprintf("gRPC-Go's server and client processes are pinned as a whole to CPU %s and %s; they exchange plain bytes, not protocol buffers, over one connection of loopback TCP", serverCPU, clientCPU),
	}
}

// flags are those of one command.
type flags []string

// peregrine is a case of `peregrine serve` and `peregrine perf`.
func (p plan) peregrine(name string, serve, perf flags) suite.Case {
	return p.pair(name, append(p.serving(), loopback), p.calling(), serve, perf)
}

// unstamped is a case as both makes, without receive timestamps on either side.
func (p plan) unstamped(name string, same flags, perf ...string) suite.Case {
	const url = loopback + "?timestamps=false"
	return p.pair(name, p.serving(), p.calling(), append(flags{url}, same...), slices.Concat(flags{"--transport", url}, same, perf))
}

func (p plan) pair(name string, serving, calling []string, serve, perf flags) suite.Case {
	return suite.Case{Name: name, Runner: run.Pair{
		Server: run.Command{Program: p.programs.peregrine, Verb: "serve", Common: serving, Flags: serve},
		Client: run.Command{Program: p.programs.peregrine, Verb: "perf", Common: calling, Flags: perf},
		Limit:  p.duration + p.warmup + spare,
	}}
}

// ends are the namespaces of a server and of its client, each as a prefix of commands.
type ends interface {
	Server(self string) []string
	Client(self string) []string
}

// apart has a case run at the ends of something, which may know how to remove what a
// failed run left there.
func (p plan) apart(e ends, c suite.Case) suite.Case {
	pair := c.Runner.(run.Pair)
	pair.Server.Prefix, pair.Client.Prefix = e.Server(p.self), e.Client(p.self)
	if cleared, ok := e.(interface{ Clear() error }); ok {
		pair.Clear = cleared.Clear
	}
	c.Runner = pair
	return c
}

// both is a case with the same flags on both sides, and more on the client's.
func (p plan) both(name string, same flags, perf ...string) suite.Case {
	return p.peregrine(name, same, append(append(flags{}, same...), perf...))
}

// grpc is a case of gRPC-Go.
func (p plan) grpc(name string, perf ...string) suite.Case {
	return suite.Case{Name: name, Runner: run.Pair{
		Server: run.Command{Program: p.self, Verb: "grpc-serve", Common: flags{"--cpu", serverCPU}},
		Client: run.Command{Program: p.self, Verb: "grpc-perf", Common: append(p.calling(), "--server-cpu", serverCPU), Flags: perf},
		Limit:  p.duration + p.warmup + spare,
	}}
}

// idle is the case of idle sessions.
func (p plan) idle(name string, dial ...string) suite.Case {
	return suite.Case{Name: name, Runner: run.Pair{
		Server: run.Command{Program: p.self, Verb: "idle-serve"},
		Client: run.Command{Program: p.self, Verb: "idle-dial", Flags: dial},
		Limit:  spare,
	}}
}

// engine is a benchmark of the engine alone.
func (p plan) engine(name, benchmark string) suite.Case {
	return suite.Case{Name: name, Runner: run.Benchmark{Test: p.programs.engine, Name: benchmark, Time: p.benchtime}}
}
