package main

import (
	"fmt"
	"slices"

	"google.golang.org/grpc"

	"github.com/peregrine-rpc/peregrine/bench/internal/report"
	"github.com/peregrine-rpc/peregrine/bench/internal/run"
	"github.com/peregrine-rpc/peregrine/bench/internal/suite"
)

// overStubs is what users of generated stubs get.
var overStubs = document{groups: plan.stubsGroups, setting: plan.stubs}

func (p plan) stubs() report.Setting {
	return report.Setting{
		Title: "Benchmarks of generated stubs", Command: "make bench-grpc",
		Versions: []string{"google.golang.org/grpc v" + grpc.Version, "storj.io/drpc v1.0.0"},
		Common: []string{
			fmt.Sprintf("every process is pinned as a whole to one CPU, servers to %s and clients to %s, with `GOMAXPROCS` 1, as Go has it by itself for one CPU", serverCPU, clientCPU),
			fmt.Sprintf("every client has `--duration %v --warmup %v`", p.duration, p.warmup),
			"gRPC-Go and drpc go over loopback TCP and Peregrine over loopback UDP, all with their defaults but for the limit of messages, gRPC-Go and Peregrine over one connection",
		},
		Notes: []string{
			"The stubs are those of gRPC's own `BenchmarkService`. CPU and allocations are of the whole process; on streams they are by\nmessage, or by message there and back.",
			"drpc has a connection for each call under way, and no metadata; its stubs are gRPC's over an adapter, not its generator's.",
			"*No transport* is the ceiling of anything that generated stubs are given: nothing but the messages' encoding and decoding, in the\nclient's process; of calls both sides', of streams the client's.",
		},
	}
}

// stubsOver is a load over one or the other.
func (p plan) stubsOver(name, over string, perf ...string) suite.Case {
	same := flags{"--over", over}
	return suite.Case{Name: name, Runner: run.Pair{
		Server: run.Command{Program: p.self, Verb: "stubs-serve", Common: flags{"--cpu", serverCPU}, Flags: same},
		Client: run.Command{Program: p.self, Verb: "stubs-perf", Flags: slices.Concat(same, perf),
			Common: append(p.calling(), "--server-cpu", serverCPU)},
		Limit: p.duration + p.warmup + spare,
	}}
}

// stubsCases is the same load over all.
func (p plan) stubsCases(perf ...string) []suite.Case {
	return []suite.Case{
		p.stubsOver("Peregrine", "peregrine", perf...), p.stubsOver("gRPC-Go", "grpc", perf...), p.stubsOver("drpc", "drpc", perf...),
		p.stubsOver("no transport", "nothing", perf...),
	}
}

// stubsGroup compares one load.
func (p plan) stubsGroup(title, about string, main suite.Metric, bound suite.Bound, perf ...string) suite.Group {
	others := []suite.Metric{suite.Rate, suite.P50, suite.P99, suite.ClientCPU, suite.ServerCPU, suite.ClientAllocs, suite.ServerAllocs}
	return suite.Group{
		Title: title, About: about, Cases: p.stubsCases(perf...), Main: main,
		Others: slices.DeleteFunc(others, func(m suite.Metric) bool { return m.Key == main.Key }),
		Claims: []suite.Claim{
			{Text: main.Name + " / gRPC-Go's, " + title, Metric: main, Of: "Peregrine", To: "gRPC-Go", Bound: bound},
			{Text: "server's CPU / gRPC-Go's, " + title, Metric: suite.ServerCPU, Of: "Peregrine", To: "gRPC-Go"},
			{Text: "client's CPU / gRPC-Go's, " + title, Metric: suite.ClientCPU, Of: "Peregrine", To: "gRPC-Go"},
		},
	}
}

func (p plan) stubsGroups() []suite.Group {
	small := p.stubsGroup("Unary, 64 goroutines", "32 bytes there and back.", suite.Rate, suite.AtLeast(10))
	small.Claims = append(small.Claims, suite.Claim{
		Text: "allocations of both sides, unary", Metric: suite.BothAllocs, Of: "Peregrine", Bound: suite.AtMost(12),
	})
	return []suite.Group{
		small,
		p.stubsGroup("Unary, one in flight", "32 bytes there and back.", suite.P50, suite.AtMost(0.5), "--window", "1"),
		p.stubsGroup("Ping-pong on a stream", "32 bytes there and back on one bidirectional stream.",
			suite.P50, suite.AtMost(0.3), "--mode", "pingpong", "--window", "1"),
		p.stubsGroup("Server streaming", "Messages of 32 bytes on one stream; a rate is of messages, and latencies are times between them.",
			suite.Rate, suite.AtLeast(10), "--mode", "download", "--window", "1"),
		p.stubsGroup("Client streaming", "Messages of 32 bytes on one stream; a rate is of messages that Send has taken, of which few are under way.",
			suite.Rate, suite.AtLeast(10), "--mode", "upload", "--window", "1"),
		p.stubsGroup("Unary, 1 MiB", "1 MiB there and back, four in flight.",
			suite.Goodput, suite.AtLeast(1.5), "--size", "1048576", "--window", "4"),
		p.idleStreams(),
	}
}

// idleStreams compares what streams take that nobody uses. drpc's would be connections.
func (p plan) idleStreams() suite.Group {
	perf := []string{"--mode", "idle", "--window", "10000"}
	return suite.Group{
		Title: "10,000 idle streams", About: "Bytes of resident memory for each stream, on which one message went each way, with its handler's goroutine.",
		Cases: []suite.Case{p.stubsOver("Peregrine", "peregrine", perf...), p.stubsOver("gRPC-Go", "grpc", perf...)},
		Main:  suite.BothResident, Others: []suite.Metric{suite.ClientResident, suite.ServerResident},
		Claims: []suite.Claim{{
			Text: "memory of idle streams / gRPC-Go's", Metric: suite.BothResident, Of: "Peregrine", To: "gRPC-Go", Bound: suite.AtMost(0.2),
		}},
	}
}
