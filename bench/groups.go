package main

import (
	"slices"

	"github.com/peregrine-rpc/peregrine/bench/internal/suite"
)

// Flags that many cases share.
var (
	busy       = flags{"--poll", "busy"}
	adaptive   = flags{"--poll", "adaptive"}
	block      = flags{"--poll", "block"}
	noOffload  = flags{"--poll", "busy", "--no-offload"}
	noCoalesce = flags{"--poll", "busy", "--no-coalesce"}
	noControl  = flags{"--poll", "busy", "--cc", "none"}
	neither    = flags{"--poll", "busy", "--no-offload", "--no-coalesce"}
	rawBusy    = flags{"--poll", "busy", "--raw"}
	rawPlain   = flags{"--poll", "busy", "--raw", "--no-offload"}
	rawBlock   = flags{"--poll", "block", "--raw"}
)

// What groups show beside their main figure.
var (
	perCall = []suite.Metric{suite.P50, suite.P99, suite.ClientCPU, suite.ServerCPU, suite.ClientAllocs, suite.ServerAllocs}
	perByte = []suite.Metric{suite.Rate, suite.ClientCPUKiB, suite.ServerCPUKiB, suite.Retransmits}
)

func (p plan) groups() []suite.Group {
	return []suite.Group{
		p.rate(), p.call(), p.latency(), p.bulk(), p.loss(), p.sessions(), p.beside(), p.alone(), p.memory(),
		p.congestion(),
	}
}

func (p plan) rate() suite.Group {
	return suite.Group{
		Title: "Small echo, 64 in flight",
		About: "32-byte messages on one session in the continuation form, both sides polling busily. Raw echoes are the same\nnumber of datagrams without the engine.",
		Cases: []suite.Case{
			p.both("offload and coalescing", busy, "--window", "64"),
			p.both("no offload", noOffload, "--window", "64"),
			p.both("no coalescing", noCoalesce, "--window", "64"),
			p.both("neither", neither, "--window", "64"),
			p.both("raw", rawBusy, "--window", "64"),
			p.both("raw, no offload", rawPlain, "--window", "64"),
		},
		Main:   suite.Rate,
		Others: append(perCall, suite.Retransmits),
		Claims: []suite.Claim{
			{Text: "small RPC rate", Metric: suite.Rate, Of: "offload and coalescing", Bound: suite.AtLeast(2.2e6)},
			{Text: "allocations per small RPC, both processes together", Metric: suite.BothAllocs, Of: "offload and coalescing", Bound: suite.AtMost(0.01)},
			{Text: "rate, one message a datagram / raw", Metric: suite.Rate, Of: "no coalescing", To: "raw", Bound: suite.AtLeast(0.85)},
			{Text: "rate, one message a datagram / raw, no offload", Metric: suite.Rate, Of: "neither", To: "raw, no offload", Bound: suite.AtLeast(0.85)},
			{Text: "rate with both / raw", Metric: suite.Rate, Of: "offload and coalescing", To: "raw"},
			{Text: "rate with coalescing alone / raw, no offload", Metric: suite.Rate, Of: "no offload", To: "raw, no offload"},
		},
	}
}

func (p plan) call() suite.Group {
	return suite.Group{
		Title: "64 goroutines in blocking `Call`, one core a side",
		About: "32-byte messages on one session. The client's loop and goroutines share one core.",
		Cases: []suite.Case{
			p.both("busy", busy, "--call", "--window", "64"),
			p.both("adaptive", adaptive, "--call", "--window", "64"),
			p.both("busy, no offload", noOffload, "--call", "--window", "64"),
		},
		Main:   suite.Rate,
		Others: perCall,
		Claims: []suite.Claim{
			{Text: "rate in `Call`, busy", Metric: suite.Rate, Of: "busy", Bound: suite.AtLeast(1e6)},
			{Text: "rate in `Call`, adaptive", Metric: suite.Rate, Of: "adaptive", Bound: suite.AtLeast(1e6)},
			{Text: "allocations per `Call`, both processes together", Metric: suite.BothAllocs, Of: "busy", Bound: suite.AtMost(1)},
		},
	}
}

func (p plan) latency() suite.Group {
	return suite.Group{
		Title: "One in flight",
		About: "32-byte messages, the next one after the reply to the last.",
		Cases: []suite.Case{
			p.both("busy", busy, "--mode", "latency"),
			p.both("raw busy", rawBusy, "--mode", "latency"),
			p.both("adaptive", adaptive, "--mode", "latency"),
			p.both("block", block, "--mode", "latency"),
			p.both("raw block", rawBlock, "--mode", "latency"),
		},
		Main:   suite.P50,
		Others: []suite.Metric{suite.P99, suite.P999, suite.ClientCPU, suite.ServerCPU},
		Claims: []suite.Claim{
			{Text: "p50, busy / raw busy", Metric: suite.P50, Of: "busy", To: "raw busy", Bound: suite.AtMost(1.2)},
			{Text: "p50, adaptive / raw block", Metric: suite.P50, Of: "adaptive", To: "raw block", Bound: suite.AtMost(1.15)},
			{Text: "p50, block / raw block", Metric: suite.P50, Of: "block", To: "raw block"},
		},
	}
}

func (p plan) bulk() suite.Group {
	return suite.Group{
		Title: "8 MiB transfers",
		About: "Four in flight on one session. Raw bulk is datagrams of the same size one way, as fast as the receiver's buffer\nallows. A transfer's contents are spot-checked.",
		Cases: []suite.Case{
			p.both("upload", busy, "--mode", "upload"),
			p.both("download", busy, "--mode", "download"),
			p.both("raw", rawBusy, "--mode", "upload"),
			p.both("upload, no offload", noOffload, "--mode", "upload"),
			p.both("download, no offload", noOffload, "--mode", "download"),
			p.both("raw, no offload", rawPlain, "--mode", "upload"),
		},
		Main:   suite.Goodput,
		Others: perByte,
		Claims: []suite.Claim{
			{Text: "upload / raw", Metric: suite.Goodput, Of: "upload", To: "raw", Bound: suite.AtLeast(0.8)},
			{Text: "download / raw", Metric: suite.Goodput, Of: "download", To: "raw", Bound: suite.AtLeast(0.8)},
			{Text: "upload / raw, no offload", Metric: suite.Goodput, Of: "upload, no offload", To: "raw, no offload", Bound: suite.AtLeast(0.8)},
			{Text: "download / raw, no offload", Metric: suite.Goodput, Of: "download, no offload", To: "raw, no offload", Bound: suite.AtLeast(0.8)},
		},
	}
}

func (p plan) loss() suite.Group {
	transfer := func(name, mode string, faults ...string) suite.Case {
		return p.peregrine(name, append(append(flags{}, busy...), faults...), append(append(flags{}, busy...), "--mode", mode))
	}
	single := func(name string, faults ...string) suite.Case { // in flight: nothing hides what recovery takes
		return p.peregrine(name, append(append(flags{}, busy...), faults...), append(append(flags{}, busy...), "--mode", "upload", "--window", "1"))
	}
	return suite.Group{
		Title: "8 MiB transfers over a network that loses datagrams",
		About: "Four in flight, or *one*. The server's end loses datagrams of both directions, from a fixed seed. The lossless case has no fault injection.",
		Cases: []suite.Case{
			transfer("upload", "upload"),
			transfer("upload, 0.1 % lost", "upload", "--fault", "loss=0.001,seed=7"),
			transfer("upload, 1 % lost", "upload", "--fault", "loss=0.01,seed=7"),
			single("one upload"),
			single("one upload, 0.1 % lost", "--fault", "loss=0.001,seed=7"),
			single("one upload, 1 % lost", "--fault", "loss=0.01,seed=7"),
			transfer("download", "download"),
			transfer("download, 0.1 % lost", "download", "--fault", "loss=0.001,seed=7"),
			transfer("download, 1 % lost", "download", "--fault", "loss=0.01,seed=7"),
		},
		Main:   suite.Goodput,
		Others: perByte,
		Claims: []suite.Claim{
			{Text: "upload, 0.1 % lost / lossless", Metric: suite.Goodput, Of: "upload, 0.1 % lost", To: "upload", Bound: suite.AtLeast(0.9)},
			{Text: "upload, 1 % lost / lossless", Metric: suite.Goodput, Of: "upload, 1 % lost", To: "upload", Bound: suite.AtLeast(0.7)},
			{Text: "one upload, 0.1 % lost / lossless", Metric: suite.Goodput, Of: "one upload, 0.1 % lost", To: "one upload", Bound: suite.AtLeast(0.92)},
			{Text: "one upload, 1 % lost / lossless", Metric: suite.Goodput, Of: "one upload, 1 % lost", To: "one upload", Bound: suite.AtLeast(0.75)},
			{Text: "download, 0.1 % lost / lossless", Metric: suite.Goodput, Of: "download, 0.1 % lost", To: "download", Bound: suite.AtLeast(0.9)},
			{Text: "download, 1 % lost / lossless", Metric: suite.Goodput, Of: "download, 1 % lost", To: "download", Bound: suite.AtLeast(0.7)},
		},
	}
}

func (p plan) sessions() suite.Group {
	return suite.Group{
		Title: "20,000 sessions",
		About: "32-byte messages in the continuation form over one endpoint a side, sessions taking turns. One session alone has 256\nslots, so that with 1,024 in flight most of its calls wait for one.",
		Cases: []suite.Case{
			p.both("1 session, 64 in flight", busy, "--sessions", "1", "--window", "64"),
			p.both("20,000 sessions, 64 in flight", busy, "--sessions", "20000", "--window", "64"),
			p.both("1 session, 1,024 in flight", busy, "--sessions", "1", "--window", "1024"),
			p.both("20,000 sessions, 1,024 in flight", busy, "--sessions", "20000", "--window", "1024"),
		},
		Main:   suite.Rate,
		Others: append(perCall, suite.Retransmits),
		Claims: []suite.Claim{
			{Text: "rate, 20,000 sessions / 1, 64 in flight", Metric: suite.Rate, Of: "20,000 sessions, 64 in flight", To: "1 session, 64 in flight", Bound: suite.AtLeast(0.8)},
			{Text: "rate, 20,000 sessions / 1, 1,024 in flight", Metric: suite.Rate, Of: "20,000 sessions, 1,024 in flight", To: "1 session, 1,024 in flight", Bound: suite.AtLeast(0.8)},
		},
	}
}

func (p plan) beside() suite.Group {
	const large = "8388608"
	return suite.Group{
		Title: "Beside gRPC-Go",
		About: "The same messages, number in flight, checks and cores. gRPC-Go calls from as many goroutines as calls are in flight.",
		Cases: []suite.Case{
			p.both("continuation, 64", busy, "--window", "64"),
			p.grpc("gRPC, 64", "--mode", "rate", "--window", "64"),
			p.both("`Call`, 64", busy, "--call", "--window", "64"),
			p.both("continuation, 64, no offload", noOffload, "--window", "64"),
			p.both("busy, 1", busy, "--mode", "latency"),
			p.grpc("gRPC, 1", "--mode", "latency", "--window", "1"),
			p.both("adaptive, 1", adaptive, "--mode", "latency"),
			p.both("upload", busy, "--mode", "upload"),
			p.grpc("gRPC upload", "--mode", "upload", "--size", large, "--window", "4"),
			p.both("upload, no offload", noOffload, "--mode", "upload"),
			p.both("download", busy, "--mode", "download"),
			p.grpc("gRPC download", "--mode", "download", "--size", large, "--window", "4"),
			p.both("download, no offload", noOffload, "--mode", "download"),
		},
		Main:   suite.Rate,
		Others: append([]suite.Metric{suite.Goodput}, perCall...),
		Claims: []suite.Claim{
			{Text: "rate, continuation / gRPC-Go", Metric: suite.Rate, Of: "continuation, 64", To: "gRPC, 64", Bound: suite.AtLeast(30)},
			{Text: "rate, continuation, no offload / gRPC-Go", Metric: suite.Rate, Of: "continuation, 64, no offload", To: "gRPC, 64"},
			{Text: "rate, `Call` / gRPC-Go", Metric: suite.Rate, Of: "`Call`, 64", To: "gRPC, 64", Bound: suite.AtLeast(12)},
			{Text: "p50, busy / gRPC-Go", Metric: suite.P50, Of: "busy, 1", To: "gRPC, 1", Bound: suite.AtMost(0.1)},
			{Text: "p50, adaptive / gRPC-Go", Metric: suite.P50, Of: "adaptive, 1", To: "gRPC, 1", Bound: suite.AtMost(0.6)},
			{Text: "8 MiB upload / gRPC-Go", Metric: suite.Goodput, Of: "upload", To: "gRPC upload", Bound: suite.AtLeast(2)},
			{Text: "8 MiB download / gRPC-Go", Metric: suite.Goodput, Of: "download", To: "gRPC download", Bound: suite.AtLeast(2)},
			{Text: "8 MiB upload, no offload / gRPC-Go", Metric: suite.Goodput, Of: "upload, no offload", To: "gRPC upload"},
			{Text: "8 MiB download, no offload / gRPC-Go", Metric: suite.Goodput, Of: "download, no offload", To: "gRPC download"},
		},
	}
}

func (p plan) alone() suite.Group {
	return suite.Group{
		Title: "The engine alone",
		About: "Client and server engine by turns on one goroutine over the in-memory pair: what both cost together for a 32-byte RPC.",
		Cases: []suite.Case{
			p.engine("64 in flight", "BenchmarkSmallRPC/window=64"),
			p.engine("64 in flight, no coalescing", "BenchmarkSmallRPC/window=64/uncoalesced"),
			p.engine("1 in flight", "BenchmarkSmallRPC/window=1"),
			p.engine("64 in flight over 20,000 sessions", "BenchmarkSmallRPC/window=64/sessions=20000"),
		},
		Main:   suite.NanosPerOp,
		Others: []suite.Metric{suite.AllocsPerOp},
		Claims: []suite.Claim{
			{Text: "time of one core per small RPC, both engines", Metric: suite.NanosPerOp, Of: "64 in flight", Bound: suite.AtMost(150)},
			{Text: "allocations per small RPC, both engines", Metric: suite.AllocsPerOp, Of: "64 in flight", Bound: suite.AtMost(0)},
		},
	}
}

func (p plan) memory() suite.Group {
	return suite.Group{
		Title: "Memory of an idle session",
		About: "Growth of each side's process by 20,000 sessions that have made a call each and are now idle, after a garbage\ncollection. Resident memory counts everything, the heap only live objects.",
		Cases: []suite.Case{p.idle("20,000 sessions", "--sessions", "20000")},
		Main:  suite.LargerResident,
		Others: []suite.Metric{
			suite.ClientResident, suite.ServerResident, suite.ClientHeap, suite.ServerHeap,
		},
		Claims: []suite.Claim{
			{Text: "bytes per idle session, larger side", Metric: suite.LargerResident, Of: "20,000 sessions", Bound: suite.AtMost(4096)},
		},
	}
}

func (p plan) congestion() suite.Group {
	var echoes, uploads, plain, engines []suite.Case
	var claims []suite.Claim
	under := func(common flags, controller string) flags { return append(slices.Clip(common), "--cc", controller) }
	for _, c := range []string{"none", "timely", "swift", "dctcp", "cubic", "auto"} {
		echoes = append(echoes, p.both("echo, "+c, under(busy, c), "--window", "64"))
		uploads = append(uploads, p.both("upload, "+c, under(busy, c), "--mode", "upload"))
		plain = append(plain, p.both("upload, no offload, "+c, under(noOffload, c), "--mode", "upload"))
		engines = append(engines, p.engine("engines, "+c, "BenchmarkSmallRPC/cc="+c))
		if c == "none" {
			continue
		}
		claims = append(claims,
			suite.Claim{Text: "small RPC rate, by turns over UDP, " + c + " / none", Metric: suite.OfNone(c), Of: "by turns, UDP", Bound: suite.AtLeast(0.98)},
			suite.Claim{Text: "small RPC rate, by turns in memory, " + c + " / none", Metric: suite.OfNone(c), Of: "by turns, memory", Bound: suite.AtLeast(0.98)},
			suite.Claim{Text: "small RPC rate, two processes, " + c + " / none", Metric: suite.Rate, Of: "echo, " + c, To: "echo, none"},
			suite.Claim{Text: "8 MiB uploads, by turns, " + c + " / none", Metric: suite.OfNone(c), Of: "by turns, uploads", Bound: suite.AtLeast(0.98)},
			suite.Claim{Text: "8 MiB uploads, by turns, no offload, " + c + " / none", Metric: suite.OfNone(c), Of: "by turns, uploads, no offload", Bound: suite.AtLeast(0.98)},
			suite.Claim{Text: "8 MiB uploads, two processes, " + c + " / none", Metric: suite.Goodput, Of: "upload, " + c, To: "upload, none"},
			suite.Claim{Text: "8 MiB uploads, two processes, no offload, " + c + " / none", Metric: suite.Goodput, Of: "upload, no offload, " + c, To: "upload, no offload, none"},
			suite.Claim{Text: "time per small RPC, both engines, " + c + " / none", Metric: suite.NanosPerOp, Of: "engines, " + c, To: "engines, none", Bound: suite.AtMost(1 / 0.97)},
			suite.Claim{Text: "allocations per small RPC, both engines, " + c, Metric: suite.AllocsPerOp, Of: "engines, " + c, Bound: suite.AtMost(0)},
		)
	}
	byTurns := []suite.Case{
		p.engine("by turns, UDP", "BenchmarkControl/udp"),
		p.engine("by turns, memory", "BenchmarkControl/mem"),
		p.engine("by turns, uploads", "BenchmarkControl/upload"),
		p.engine("by turns, uploads, no offload", "BenchmarkControl/upload-plain"),
	}
	stamps := []suite.Case{
		p.unstamped("echo, none, no timestamps", under(busy, "none"), "--window", "64"),
		p.both("no coalescing, none", under(noCoalesce, "none"), "--window", "64"),
		p.unstamped("no coalescing, none, no timestamps", under(noCoalesce, "none"), "--window", "64"),
	}
	claims = append(claims,
		suite.Claim{Text: "receive timestamps: small RPC rate with / without", Metric: suite.Rate, Of: "echo, none", To: "echo, none, no timestamps"},
		suite.Claim{Text: "receive timestamps: rate, one message a datagram, with / without", Metric: suite.Rate, Of: "no coalescing, none", To: "no coalescing, none, no timestamps"},
	)
	return suite.Group{
		Title:  "Congestion control",
		About:  "Each controller with its defaults, the same on both sides, where nothing is congested: what it costs, and whether it\nthrottles an idle network. Echoes are 32-byte messages, 64 in flight on one session in the continuation form; uploads\nare of 8 MiB, four in flight. The engines run on one goroutine over the in-memory pair. By turns are\npairs of engines under each controller on one goroutine, 1,000 small RPCs or four uploads each, many times: two processes, seconds apart,\ndo not tell 3 % from the host's moods. Receive timestamps\nkeep the time in a socket's receive buffer out of the round trips that controllers see.",
		Cases:  slices.Concat(echoes, stamps, uploads, plain, engines, byTurns),
		Main:   suite.Rate,
		Others: []suite.Metric{suite.Goodput, suite.ClientCPU, suite.ServerCPU, suite.BothAllocs, suite.Retransmits, suite.NanosPerOp, suite.AllocsPerOp},
		Claims: claims,
	}
}
