package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/peregrine-rpc/peregrine/bench/internal/report"
	"github.com/peregrine-rpc/peregrine/bench/internal/suite"
)

// pages are hugepages for both processes.
const pages = 512

// Keys of both sides' URLs.
const (
	jumbo       = "&mtu=9000"
	noHugepages = "&hugepages=off"
)

// Figures of C++ eRPC, patched to run on these devices, engine untouched.
const (
	erpcMany    = "C++ eRPC: 6.4 to 7.1 M, far 3.2 to 3.6 M"
	erpcFew     = "C++ eRPC: 3.7 M"
	erpcLatency = "C++ eRPC: 1.0 µs"
	erpcUpload  = "C++ eRPC: 13.5 to 15.2"
)

// overVhost is a case of `peregrine serve` on a vhost device and `peregrine
// perf` on the virtio-user device at its other end. keys are more of both URLs.
func (p plan) overVhost(name, keys string, same flags, perf ...string) suite.Case {
	server, client := vhostURLs(filepath.Join(p.dir, "vhost.sock"), keys)
	return p.pair(name, append(p.serving(), server, "--plain"), append(p.calling(), "--transport", client),
		same, slices.Concat(same, perf))
}

func vhostURLs(socket, keys string) (server, client string) {
	return "dpdk://net_vhost0,iface=" + socket + ",queues=1?ip=10.9.0.1/24&port=31850" + keys,
		"dpdk://net_virtio_user0,path=" + socket + ",queues=1,queue_size=1024,packed_vq=1?ip=10.9.0.2/24" + keys
}

func (p plan) dpdk() report.Setting {
	server, client := vhostURLs("SOCKET", "")
	return report.Setting{
		Title: "Benchmarks of the DPDK backend", Command: "make bench-dpdk",
		Versions: []string{"libdpdk " + libdpdk()},
		Common: []string{
			fmt.Sprintf("every `peregrine serve` has `--cpu %s --plain '%s'`", serverCPU, server),
			fmt.Sprintf("every `peregrine perf` has `--cpu %s --duration %v --warmup %v --transport '%s'`", clientCPU, p.duration, p.warmup, client),
			fmt.Sprintf("both URLs have `%s` too where a case says MTU 9000, and `%s` where it says no hugepages", jumbo[1:], noHugepages[1:]),
		},
		Notes: []string{
			"The device is a pair of virtual ones, vhost and virtio-user with a packed ring: shared memory, into and out of which vhost\ncopies each packet on its own side's core. What is quoted of C++ eRPC was measured on the same devices and this kind of\nmachine by its own programs, transfers being of 7.9 MB, and not at the same time.",
		},
	}
}

func libdpdk() string {
	version, err := exec.Command("pkg-config", "--modversion", "libdpdk").Output()
	if err != nil {
		return "of unknown version"
	}
	return strings.TrimSpace(string(version))
}

// aboutPages says what hugepages there are, or why none.
func aboutPages(refused error) string {
	if refused != nil {
		return fmt.Sprintf("hugepages: only those that happened to be free (%v)", refused)
	}
	return fmt.Sprintf("hugepages: %d of 2 MiB, reserved meanwhile", pages)
}

func (p plan) dpdkGroups() []suite.Group {
	return []suite.Group{p.vhostSingle(), p.vhostCoalesced(), p.vhostLatency(), p.vhostBulk(), p.vhostNoHugepages()}
}

// perVhostCall is what groups of calls show beside their main figure.
var perVhostCall = append(slices.Clone(perCall), suite.ClientCollections, suite.ServerCollections, suite.Retransmits)

func (p plan) vhostSingle() suite.Group {
	return suite.Group{
		Title: "Small echo, one message a datagram",
		About: "32-byte messages in the continuation form, coalescing off, both sides polling busily. Raw echoes are the same number\nof datagrams without the engine.",
		Cases: []suite.Case{
			p.overVhost("96 over 12 sessions", "", noCoalesce, "--sessions", "12", "--window", "96"),
			p.overVhost("8 on one session", "", noCoalesce, "--window", "8"),
			p.overVhost("raw, 96", "", rawBusy, "--window", "96"),
			p.overVhost("raw, 8", "", rawBusy, "--window", "8"),
		},
		Main:   suite.Rate,
		Others: perVhostCall,
		Claims: []suite.Claim{
			{Text: "rate, 96 in flight over 12 sessions (" + erpcMany + ")", Metric: suite.Rate, Of: "96 over 12 sessions", Bound: suite.AtLeast(6.4e6)},
			{Text: "rate, 8 in flight on one session (" + erpcFew + ")", Metric: suite.Rate, Of: "8 on one session", Bound: suite.AtLeast(3.7e6)},
			{Text: "rate, 96 in flight / raw", Metric: suite.Rate, Of: "96 over 12 sessions", To: "raw, 96"},
			{Text: "rate, 8 in flight / raw", Metric: suite.Rate, Of: "8 on one session", To: "raw, 8"},
			{Text: "allocations per RPC, both processes together", Metric: suite.BothAllocs, Of: "96 over 12 sessions", Bound: suite.AtMost(0.01)},
		},
	}
}

func (p plan) vhostCoalesced() suite.Group {
	return suite.Group{
		Title: "Small echo, coalesced",
		About: "The same with coalescing, Peregrine's default.",
		Cases: []suite.Case{
			p.overVhost("96 over 12 sessions", "", busy, "--sessions", "12", "--window", "96"),
			p.overVhost("256 over 12 sessions", "", busy, "--sessions", "12", "--window", "256"),
			p.overVhost("64 goroutines in `Call`", "", busy, "--call", "--window", "64"),
			p.overVhost("raw, 96", "", rawBusy, "--window", "96"),
		},
		Main:   suite.Rate,
		Others: perVhostCall,
		Claims: []suite.Claim{
			{Text: "rate, 96 in flight (C++ eRPC's headline on real NICs: 10 M)", Metric: suite.Rate, Of: "96 over 12 sessions", Bound: suite.AtLeast(10e6)},
			{Text: "rate, 256 in flight", Metric: suite.Rate, Of: "256 over 12 sessions", Bound: suite.AtLeast(10e6)},
			{Text: "rate, 96 in flight / raw", Metric: suite.Rate, Of: "96 over 12 sessions", To: "raw, 96"},
		},
	}
}

func (p plan) vhostLatency() suite.Group {
	return suite.Group{
		Title: "One in flight",
		About: "32-byte messages, the next one after the reply to the last, every latency recorded. A virtual machine takes its own time\nfrom both cores, which is the tail.",
		Cases: []suite.Case{
			p.overVhost("busy", "", busy, "--mode", "latency"),
			p.overVhost("raw busy", "", rawBusy, "--mode", "latency"),
			p.overVhost("adaptive", "", adaptive, "--mode", "latency"),
			p.overVhost("block", "", block, "--mode", "latency"),
		},
		Main:   suite.P50,
		Others: []suite.Metric{suite.P99, suite.P999, suite.Max, suite.ClientCPU, suite.ServerCPU, suite.ClientCollections, suite.ServerCollections},
		Claims: []suite.Claim{
			{Text: "p50, busy (" + erpcLatency + ")", Metric: suite.P50, Of: "busy", Bound: suite.AtMost(1)},
			{Text: "p50, busy / raw busy", Metric: suite.P50, Of: "busy", To: "raw busy"},
		},
	}
}

func (p plan) vhostBulk() suite.Group {
	return suite.Group{
		Title: "8 MiB transfers",
		About: "Four in flight on one session. Raw bulk is datagrams of the same size one way, as fast as the receiver takes them.",
		Cases: []suite.Case{
			p.overVhost("upload", "", busy, "--mode", "upload"),
			p.overVhost("download", "", busy, "--mode", "download"),
			p.overVhost("upload, no control", "", noControl, "--mode", "upload"),
			p.overVhost("download, no control", "", noControl, "--mode", "download"),
			p.overVhost("raw", "", rawBusy, "--mode", "upload"),
			p.overVhost("upload, MTU 9000", jumbo, busy, "--mode", "upload"),
			p.overVhost("download, MTU 9000", jumbo, busy, "--mode", "download"),
			p.overVhost("raw, MTU 9000", jumbo, rawBusy, "--mode", "upload"),
		},
		Main:   suite.Goodput,
		Others: append(slices.Clone(perByte), suite.ClientCollections, suite.ServerCollections),
		Claims: []suite.Claim{
			{Text: "Gbit/s, upload (" + erpcUpload + ")", Metric: suite.Goodput, Of: "upload", Bound: suite.AtLeast(20)},
			{Text: "Gbit/s, download", Metric: suite.Goodput, Of: "download", Bound: suite.AtLeast(20)},
			{Text: "download / upload", Metric: suite.Goodput, Of: "download", To: "upload", Bound: suite.AtLeast(0.9)},
			{Text: "download / upload, no control", Metric: suite.Goodput, Of: "download, no control", To: "upload, no control"},
			{Text: "Gbit/s, upload, MTU 9000", Metric: suite.Goodput, Of: "upload, MTU 9000", Bound: suite.AtLeast(20)},
			{Text: "Gbit/s, download, MTU 9000", Metric: suite.Goodput, Of: "download, MTU 9000", Bound: suite.AtLeast(20)},
			{Text: "upload / raw", Metric: suite.Goodput, Of: "upload", To: "raw"},
			{Text: "upload / raw, MTU 9000", Metric: suite.Goodput, Of: "upload, MTU 9000", To: "raw, MTU 9000"},
		},
	}
}

func (p plan) vhostNoHugepages() suite.Group {
	var cases []suite.Case
	var claims []suite.Claim
	for _, work := range []struct {
		name   string
		metric suite.Metric
		same   flags
		perf   flags
	}{
		{"one message a datagram", suite.Rate, noCoalesce, flags{"--sessions", "12", "--window", "96"}},
		{"coalesced", suite.Rate, busy, flags{"--sessions", "12", "--window", "96"}},
		{"one in flight", suite.P50, busy, flags{"--mode", "latency"}},
		{"upload", suite.Goodput, busy, flags{"--mode", "upload"}},
	} {
		with, without := work.name, work.name+", no hugepages"
		cases = append(cases,
			p.overVhost(with, "", work.same, work.perf...),
			p.overVhost(without, noHugepages, work.same, work.perf...))
		claims = append(claims, suite.Claim{
			Text: work.metric.Name + ", " + work.name + ", without / with hugepages", Metric: work.metric, Of: without, To: with,
		})
	}
	return suite.Group{
		Title:  "Without hugepages",
		About:  "Whether ordinary pages of 4 KiB cost anything between virtual devices.",
		Cases:  cases,
		Main:   suite.Rate,
		Others: []suite.Metric{suite.Goodput, suite.P50, suite.P99, suite.ClientCPU, suite.ServerCPU},
		Claims: claims,
	}
}
