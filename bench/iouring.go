package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/peregrine-rpc/peregrine/bench/internal/report"
	"github.com/peregrine-rpc/peregrine/bench/internal/run"
	"github.com/peregrine-rpc/peregrine/bench/internal/suite"
)

// overRing is what both ends are opened at for io_uring.
const overRing = "iouring://127.0.0.1:0"

var overIOUring = document{groups: plan.iouringGroups, setting: plan.iouring}

func (p plan) iouring() report.Setting {
	s := p.sockets()
	s.Title, s.Command = "Benchmarks of the io_uring backend", "make bench-iouring"
	s.Versions = nil
	s.Common = []string{
		fmt.Sprintf("every `peregrine serve` has `--cpu %s`, every `peregrine perf` `--cpu %s --duration %v --warmup %v`", serverCPU, clientCPU, p.duration, p.warmup),
		fmt.Sprintf("cases of io_uring have both ends at `%s`, those of UDP at `%s`", overRing, loopback),
	}
	if p.uringEcho == "" {
		s.Notes = append(s.Notes, "No figures of a C echo on liburing: it was not built, for want of a C compiler or liburing-dev.")
	}
	return s
}

// besideUDP is a case over plain UDP and the same over io_uring.
func (p plan) besideUDP(name string, same flags, perf ...string) []suite.Case {
	same = slices.Clip(same)
	return []suite.Case{
		p.pair(name+", UDP", append(p.serving(), loopback), append(p.calling(), "--transport", loopback), same, slices.Concat(same, perf)),
		p.pair(name+", io_uring", append(p.serving(), overRing), append(p.calling(), "--transport", overRing), same, slices.Concat(same, perf)),
	}
}

// againstC is a raw client over io_uring, whose echo is a C program on liburing, or
// ours.
func (p plan) againstC(name, offload string, perf ...string) []suite.Case {
	same := rawBusy
	if offload == "off" {
		same = rawPlain
	}
	calling := append(p.calling(), "--transport", overRing)
	ours := p.pair(name+", echo of Go", append(p.serving(), overRing), calling, same, slices.Concat(same, perf))
	if p.uringEcho == "" {
		return []suite.Case{ours}
	}
	c := run.Pair{
		Server: run.Command{Program: p.uringEcho, Verb: serverCPU, Flags: flags{offload}},
		Client: run.Command{Program: p.programs.peregrine, Verb: "perf", Common: calling, Flags: slices.Concat(same, perf)},
		Limit:  p.duration + p.warmup + spare,
	}
	return []suite.Case{ours, {Name: name + ", echo of C", Runner: c}}
}

func (p plan) iouringGroups() []suite.Group {
	return []suite.Group{p.ringRate(), p.ringLatency(), p.ringBulk(), p.ringC()}
}

func (p plan) ringRate() suite.Group {
	return suite.Group{
		Title: "Small echo, 64 in flight",
		About: "32-byte messages on one session in the continuation form, both sides polling busily.",
		Cases: slices.Concat(
			p.besideUDP("offload", busy, "--window", "64"),
			p.besideUDP("no offload", noOffload, "--window", "64"),
			p.besideUDP("neither offload nor coalescing", neither, "--window", "64"),
			p.besideUDP("raw", rawBusy, "--window", "64"),
			p.besideUDP("raw, no offload", rawPlain, "--window", "64"),
		),
		Main:   suite.Rate,
		Others: append([]suite.Metric{suite.BothSyscalls}, perCall...),
		Claims: []suite.Claim{
			{Text: "rate / UDP's", Metric: suite.Rate, Of: "offload, io_uring", To: "offload, UDP", Bound: suite.AtLeast(1.15)},
			{Text: "rate / UDP's, no offload", Metric: suite.Rate, Of: "no offload, io_uring", To: "no offload, UDP", Bound: suite.AtLeast(1.15)},
			{Text: "rate / UDP's, neither", Metric: suite.Rate, Of: "neither offload nor coalescing, io_uring", To: "neither offload nor coalescing, UDP"},
			{Text: "system calls per RPC / UDP's", Metric: suite.BothSyscalls, Of: "offload, io_uring", To: "offload, UDP", Bound: suite.AtMost(1. / 3)},
			{Text: "system calls per RPC / UDP's, no offload", Metric: suite.BothSyscalls, Of: "no offload, io_uring", To: "no offload, UDP", Bound: suite.AtMost(1. / 3)},
			{Text: "system calls per RPC / UDP's, neither", Metric: suite.BothSyscalls, Of: "neither offload nor coalescing, io_uring", To: "neither offload nor coalescing, UDP", Bound: suite.AtMost(1. / 3)},
			{Text: "raw rate / UDP's", Metric: suite.Rate, Of: "raw, io_uring", To: "raw, UDP"},
			{Text: "raw rate / UDP's, no offload", Metric: suite.Rate, Of: "raw, no offload, io_uring", To: "raw, no offload, UDP"},
		},
	}
}

func (p plan) ringLatency() suite.Group {
	return suite.Group{
		Title: "One in flight",
		About: "32-byte messages, the next one after the reply to the last.",
		Cases: slices.Concat(
			p.besideUDP("busy", busy, "--mode", "latency"),
			p.besideUDP("raw busy", rawBusy, "--mode", "latency"),
			p.besideUDP("block", block, "--mode", "latency"),
		),
		Main:   suite.P50,
		Others: []suite.Metric{suite.P99, suite.P999, suite.BothSyscalls, suite.ClientCPU, suite.ServerCPU},
		Claims: []suite.Claim{
			{Text: "p50 / UDP's, busy", Metric: suite.P50, Of: "busy, io_uring", To: "busy, UDP", Bound: suite.AtMost(1.1)},
			{Text: "p50 / raw, busy", Metric: suite.P50, Of: "busy, io_uring", To: "raw busy, io_uring", Bound: suite.AtMost(1.15)},
			{Text: "p50 / UDP's, block", Metric: suite.P50, Of: "block, io_uring", To: "block, UDP", Bound: suite.AtMost(1)},
			{Text: "raw p50 / UDP's, busy", Metric: suite.P50, Of: "raw busy, io_uring", To: "raw busy, UDP"},
			{Text: "system calls per RPC / UDP's, busy", Metric: suite.BothSyscalls, Of: "busy, io_uring", To: "busy, UDP"},
			{Text: "system calls per RPC / UDP's, block", Metric: suite.BothSyscalls, Of: "block, io_uring", To: "block, UDP"},
		},
	}
}

func (p plan) ringBulk() suite.Group {
	return suite.Group{
		Title: "8 MiB transfers",
		About: "Four in flight on one session. With `zero_copy` the client asks the kernel not to copy messages of 16 KiB and more; the\nloopback copies them all the same, so that after 32 it asks no more.",
		Cases: slices.Concat(
			p.besideUDP("upload", busy, "--mode", "upload"),
			p.besideUDP("download", busy, "--mode", "download"),
			p.besideUDP("upload, no offload", noOffload, "--mode", "upload"),
			p.besideUDP("download, no offload", noOffload, "--mode", "download"),
			[]suite.Case{p.pair("upload, zero copy", append(p.serving(), overRing), append(p.calling(), "--transport", overRing+"?zero_copy=16384"),
				busy, slices.Concat(busy, flags{"--mode", "upload"}))},
		),
		Main:   suite.Goodput,
		Others: append([]suite.Metric{suite.BothSyscalls, suite.ZeroCopied, suite.Copied}, perByte...),
		Claims: []suite.Claim{
			{Text: "upload / UDP's", Metric: suite.Goodput, Of: "upload, io_uring", To: "upload, UDP", Bound: suite.AtLeast(1)},
			{Text: "download / UDP's", Metric: suite.Goodput, Of: "download, io_uring", To: "download, UDP", Bound: suite.AtLeast(1)},
			{Text: "upload / UDP's, no offload", Metric: suite.Goodput, Of: "upload, no offload, io_uring", To: "upload, no offload, UDP", Bound: suite.AtLeast(1)},
			{Text: "download / UDP's, no offload", Metric: suite.Goodput, Of: "download, no offload, io_uring", To: "download, no offload, UDP", Bound: suite.AtLeast(1)},
			{Text: "upload, zero copy / copied", Metric: suite.Goodput, Of: "upload, zero copy", To: "upload, io_uring"},
			{Text: "system calls per transfer / UDP's, upload", Metric: suite.BothSyscalls, Of: "upload, io_uring", To: "upload, UDP"},
		},
	}
}

func (p plan) ringC() suite.Group {
	g := suite.Group{
		Title: "Raw echo of Go and of C",
		About: "The same raw client over io_uring; the echo is `peregrine serve --raw`, or a C program on liburing that does the same\nwork (`bench/liburing/echo.c`).",
		Cases: slices.Concat(
			p.againstC("64 in flight", "on", "--window", "64"),
			p.againstC("64 in flight, no offload", "off", "--window", "64"),
			p.againstC("one in flight", "on", "--mode", "latency"),
		),
		Main:   suite.Rate,
		Others: []suite.Metric{suite.P50, suite.P99, suite.ClientCPU},
	}
	if p.uringEcho != "" {
		g.Claims = []suite.Claim{
			{Text: "rate / C's", Metric: suite.Rate, Of: "64 in flight, echo of Go", To: "64 in flight, echo of C", Bound: suite.AtLeast(0.95)},
			{Text: "rate / C's, no offload", Metric: suite.Rate, Of: "64 in flight, no offload, echo of Go", To: "64 in flight, no offload, echo of C", Bound: suite.AtLeast(0.95)},
			{Text: "rate / C's, one in flight", Metric: suite.Rate, Of: "one in flight, echo of Go", To: "one in flight, echo of C", Bound: suite.AtLeast(0.95)},
		}
	}
	return g
}

// buildUringEcho builds the C echo, or returns no name where that cannot be done.
func buildUringEcho(ctx context.Context, root, dir string) string {
	program := filepath.Join(dir, "uring-echo")
	cc := exec.CommandContext(ctx, "cc", "-O2", "-o", program, filepath.Join(root, "bench/liburing/echo.c"), "-luring")
	cc.Stderr = os.Stderr
	if cc.Run() != nil {
		return ""
	}
	return program
}
