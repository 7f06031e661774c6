package main

import (
	"fmt"
	"slices"

	"github.com/peregrine-rpc/peregrine/bench/internal/report"
	"github.com/peregrine-rpc/peregrine/bench/internal/run"
	"github.com/peregrine-rpc/peregrine/bench/internal/suite"
	"github.com/peregrine-rpc/peregrine/bench/internal/wire"
)

// overXDP is what is measured between the ends of a wire.
func overXDP(w *wire.Wire) document {
	return document{
		groups:  func(p plan) []suite.Group { return p.xdpGroups(w) },
		setting: plan.xdp,
	}
}

func (p plan) xdp() report.Setting {
	server, client := xdpURLs("native")
	return report.Setting{
		Title: "Benchmarks of the AF_XDP backend", Command: "make bench-xdp",
		Common: []string{
			fmt.Sprintf("every `peregrine serve` has `--cpu %s --plain` and, unless another URL stands there, `%s`", serverCPU, server),
			fmt.Sprintf("every `peregrine perf` has `--cpu %s --duration %v --warmup %v` and, unless another, `--transport %s`", clientCPU, p.duration, p.warmup, client),
			"server and client are in network namespaces of their own, joined by a veth pair of one queue, whose device cuts what is longer than its MTU of 1500",
		},
		Notes: []string{
			"veth has no zero-copy: each packet is copied by the kernel once, on the sender's core, where the receiver's program runs as well.",
			"`asavie` is github.com/asavie/xdp v0.3.3 at both ends, a loop around its calls: 32 bytes in a datagram without a checksum, sent back from the frame that it came in, no engine, no filter; what has no echo after 100 ms is sent again.",
		},
	}
}

func xdpURLs(mode string) (server, client string) {
	return "xdp://" + wire.ServerInterface + "?port=31850&mode=" + mode, "xdp://" + wire.ClientInterface + "?mode=" + mode
}

// overWire is a case of `peregrine serve` and `peregrine perf` at the ends of the
// wire, by two URLs.
func (p plan) overWire(w ends, name, server, client string, same flags, perf ...string) suite.Case {
	return p.apart(w, p.pair(name, append(p.serving(), server, "--plain"), append(p.calling(), "--transport", client), same, slices.Concat(same, perf)))
}

// asavie is a case of that library's echo.
func (p plan) asavie(w ends, name, window string) suite.Case {
	const server, client = "02:00:00:09:00:01/" + wire.ServerAddress, "02:00:00:09:00:02/" + wire.ClientAddress
	pair := run.Pair{
		Server: run.Command{Program: p.self, Verb: "asavie-serve", Common: flags{"--cpu", serverCPU, "--interface", wire.ServerInterface}},
		Client: run.Command{Program: p.self, Verb: "asavie-perf",
			Common: append(p.calling(), "--server-cpu", serverCPU, "--interface", wire.ClientInterface, "--own", client, "--peer", server),
			Flags:  flags{"--window", window}},
		Limit: p.duration + p.warmup + spare,
	}
	return p.apart(w, suite.Case{Name: name, Runner: pair})
}

func (p plan) xdpGroups(w ends) []suite.Group {
	native := func(name string, same flags, perf ...string) suite.Case {
		server, client := xdpURLs("native")
		return p.overWire(w, name, server, client, same, perf...)
	}
	generic := func(name string, same flags, perf ...string) suite.Case {
		server, client := xdpURLs("generic")
		return p.overWire(w, name, server, client, same, perf...)
	}
	plain := func(name string, same flags, perf ...string) suite.Case {
		return p.overWire(w, name, "udp://"+wire.ServerAddress+":31850", "udp://"+wire.ClientAddress+":0", same, perf...)
	}
	return []suite.Group{
		{
			Title: "Small echo, 64 in flight",
			About: "32-byte messages on one session in the continuation form, both sides polling busily. Raw echoes are the same\nnumber of datagrams without the engine.",
			Cases: []suite.Case{
				native("coalesced", busy, "--window", "64"),
				native("one message a datagram", noCoalesce, "--window", "64"),
				native("raw", rawBusy, "--window", "64"),
				generic("generic, one message a datagram", noCoalesce, "--window", "64"),
				generic("generic, raw", rawBusy, "--window", "64"),
				plain("udp, one message a datagram", neither, "--window", "64"),
				plain("udp, coalesced", noOffload, "--window", "64"),
				p.asavie(w, "asavie", "64"),
			},
			Main:   suite.Rate,
			Others: append(perCall, suite.Retransmits),
			Claims: []suite.Claim{
				{Text: "rate, one message a datagram / raw", Metric: suite.Rate, Of: "one message a datagram", To: "raw", Bound: suite.AtLeast(0.85)},
				{Text: "rate, generic, one message a datagram / raw", Metric: suite.Rate, Of: "generic, one message a datagram", To: "generic, raw", Bound: suite.AtLeast(0.85)},
				{Text: "rate, coalesced / one message a datagram", Metric: suite.Rate, Of: "coalesced", To: "one message a datagram", Bound: suite.AtLeast(3)},
				{Text: "rate, one message a datagram / plain UDP's", Metric: suite.Rate, Of: "one message a datagram", To: "udp, one message a datagram", Bound: suite.AtLeast(1.5)},
				{Text: "rate, coalesced / plain UDP's", Metric: suite.Rate, Of: "coalesced", To: "udp, coalesced"},
				{Text: "rate, raw / asavie's echo", Metric: suite.Rate, Of: "raw", To: "asavie", Bound: suite.AtLeast(1.5)},
				{Text: "rate, one message a datagram / asavie's echo", Metric: suite.Rate, Of: "one message a datagram", To: "asavie", Bound: suite.AtLeast(1.5)},
				{Text: "allocations per small RPC, both processes together", Metric: suite.BothAllocs, Of: "one message a datagram", Bound: suite.AtMost(0.01)},
			},
		},
		{
			Title: "One in flight",
			About: "32-byte messages, the next one after the reply to the last.",
			Cases: []suite.Case{
				native("busy", busy, "--mode", "latency"),
				native("raw busy", rawBusy, "--mode", "latency"),
				native("adaptive", adaptive, "--mode", "latency"),
				native("block", block, "--mode", "latency"),
				native("raw block", rawBlock, "--mode", "latency"),
				generic("generic, busy", busy, "--mode", "latency"),
				generic("generic, raw busy", rawBusy, "--mode", "latency"),
				plain("udp, busy", busy, "--mode", "latency"),
				p.asavie(w, "asavie", "1"),
			},
			Main:   suite.P50,
			Others: []suite.Metric{suite.P99, suite.P999, suite.ClientCPU, suite.ServerCPU},
			Claims: []suite.Claim{
				{Text: "p50, busy / raw busy", Metric: suite.P50, Of: "busy", To: "raw busy", Bound: suite.AtMost(1.2)},
				{Text: "p50, generic, busy / raw busy", Metric: suite.P50, Of: "generic, busy", To: "generic, raw busy", Bound: suite.AtMost(1.2)},
				{Text: "p50, busy / plain UDP's", Metric: suite.P50, Of: "busy", To: "udp, busy", Bound: suite.AtMost(0.6)},
				{Text: "p50, busy / asavie's echo", Metric: suite.P50, Of: "busy", To: "asavie"},
			},
		},
		{
			Title: "8 MiB transfers",
			About: "Four in flight on one session. Raw bulk is datagrams of the same size one way.",
			Cases: []suite.Case{
				native("upload", busy, "--mode", "upload"),
				native("download", busy, "--mode", "download"),
				native("raw", rawBusy, "--mode", "upload"),
				plain("udp, upload", noOffload, "--mode", "upload"),
			},
			Main:   suite.Goodput,
			Others: perByte,
			Claims: []suite.Claim{
				{Text: "upload / raw", Metric: suite.Goodput, Of: "upload", To: "raw"},
				{Text: "upload / plain UDP's, no offload", Metric: suite.Goodput, Of: "upload", To: "udp, upload"},
			},
		},
	}
}
