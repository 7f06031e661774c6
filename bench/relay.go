package main

import (
	"fmt"
	"slices"

	"github.com/peregrine-rpc/peregrine/bench/internal/report"
	"github.com/peregrine-rpc/peregrine/bench/internal/run"
	"github.com/peregrine-rpc/peregrine/bench/internal/suite"
	"github.com/peregrine-rpc/peregrine/bench/internal/wire"
)

// overRelay is what is measured through a relay.
func overRelay(s *wire.Street) document {
	return document{
		groups:  func(p plan) []suite.Group { return p.relayGroups(s) },
		setting: plan.relay,
	}
}

func (p plan) relay() report.Setting {
	return report.Setting{
		Title: "Benchmarks of the relay", Command: "make bench-relay",
		Common: []string{
			fmt.Sprintf("every `peregrine serve` has `--cpu %s --plain` and `udp://%s:31850`", serverCPU, wire.StreetServerAddress),
			fmt.Sprintf("every `peregrine perf` has `--cpu %s --duration %v --warmup %v`, and sends over plain UDP", clientCPU, p.duration, p.warmup),
			"client, relay and server are in network namespaces of their own, joined by two veth pairs with an MTU of 1500; " +
				"the relay's thread is not pinned, and shares the two CPUs with the others",
		},
		Notes: []string{
			"`kernel` has no relay: the kernel in the middle forwards IP packets between its two interfaces.",
			"veth has no zero-copy: the kernel copies each packet once on either cable. Without a copy means that the relay makes none.",
		},
	}
}

// street is ends with a relay between them.
type street interface {
	ends
	Relay(self string) []string
}

// through is a case of a client and a server with a relay of two URLs between them, or
// with the kernel if there are none.
func (p plan) through(s street, name string, relay, perf flags) suite.Case {
	c := p.apart(s, p.pair(name, append(p.serving(), "udp://"+wire.StreetServerAddress+":31850", "--plain"), p.calling(), nil, perf))
	if relay == nil {
		return c
	}
	pair := c.Runner.(run.Pair)
	pair.Between = run.Command{Prefix: s.Relay(p.self), Program: p.programs.peregrine, Verb: "relay", Common: flags{"--until-eof"}, Flags: relay}
	return suite.Case{Name: name, Runner: pair}
}

func (p plan) relayGroups(s street) []suite.Group {
	cases := func(perf ...string) []suite.Case {
		xdp := func(mode string) flags {
			return flags{"xdp://" + wire.RelayInside + "?mode=" + mode, "--transport", "xdp://" + wire.RelayOutside + "?mode=" + mode}
		}
		sockets := func(backend string) flags {
			return flags{backend + "://" + wire.RelayInsideAddress + ":0", "--transport", backend + "://" + wire.RelayOutsideAddress + ":0"}
		}
		return []suite.Case{
			p.through(s, "xdp", xdp("native"), perf),
			p.through(s, "xdp, generic", xdp("generic"), perf),
			p.through(s, "udp", sockets("udp"), perf),
			p.through(s, "iouring", sockets("iouring"), perf),
			p.through(s, "kernel", nil, perf),
		}
	}
	compared := func(what string, metric suite.Metric) []suite.Claim {
		return []suite.Claim{
			{Text: what + ", relay over AF_XDP / over UDP", Metric: metric, Of: "xdp", To: "udp"},
			{Text: what + ", relay over AF_XDP / kernel", Metric: metric, Of: "xdp", To: "kernel"},
		}
	}
	return []suite.Group{
		{
			Title:  "Small echo, 64 in flight, one message a datagram",
			About:  "32-byte messages on one session, in the continuation form.",
			Cases:  cases(slices.Concat(flags{"--window", "64"}, flags{"--no-coalesce", "--no-offload"})...),
			Main:   suite.Rate,
			Others: perCall,
			Claims: compared("rate", suite.Rate),
		},
		{
			Title:  "One in flight",
			About:  "32-byte messages, the next one after the reply to the last.",
			Cases:  cases("--mode", "latency"),
			Main:   suite.P50,
			Others: []suite.Metric{suite.P99, suite.P999, suite.ClientCPU, suite.ServerCPU},
			Claims: compared("p50", suite.P50),
		},
		{
			Title:  "8 MiB uploads",
			About:  "Four in flight on one session.",
			Cases:  cases("--mode", "upload"),
			Main:   suite.Goodput,
			Others: perByte,
			Claims: compared("goodput", suite.Goodput),
		},
	}
}
