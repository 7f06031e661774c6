package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"google.golang.org/grpc"

	"github.com/peregrine-rpc/peregrine/bench/internal/report"
	"github.com/peregrine-rpc/peregrine/bench/internal/run"
	"github.com/peregrine-rpc/peregrine/bench/internal/suite"
	"github.com/peregrine-rpc/peregrine/internal/testcert"
)

// overTLS is what sealing costs, and what others do who seal.
var overTLS = document{groups: plan.tlsGroups, setting: plan.tls}

// certificates are files that a server and its clients are given.
type certificates struct{ cert, key, ca string }

// certify writes certificates of an authority of its own into a folder.
func certify(dir string) (c certificates, err error) {
	authority := testcert.New("authority")
	cert, key := testcert.PEM(authority.Issue("localhost"))
	c = certificates{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")}
	for path, text := range map[string][]byte{c.cert: cert, c.key: key, c.ca: authority.PEM()} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c certificates) server() flags { return flags{"--tls-cert", c.cert, "--tls-key", c.key} }
func (c certificates) client() flags { return flags{"--tls-ca", c.ca} }

func (p plan) tls() report.Setting {
	return report.Setting{
		Title: "Benchmarks of sealed connections", Command: "make bench-tls",
		Versions: []string{"google.golang.org/grpc v" + grpc.Version, "github.com/quic-go/quic-go " + versionOf("github.com/quic-go/quic-go")},
		Common: append(p.common(),
			"sealed servers have `--tls-cert` and `--tls-key`, their clients `--tls-ca`; all seal with AES-128-GCM",
			"quic-go's server and client processes are pinned as a whole to a CPU each, and exchange messages with a length before them on as many streams as calls are in flight, which stay open"),
		Notes: []string{
			"What sealing costs in instructions docs/performance.md says; what a connection holds, `TestIdleSealedConnectionsAreSmall`.",
		},
	}
}

// versionOf is which version of a module this program was built with.
func versionOf(module string) string {
	info, _ := debug.ReadBuildInfo()
	if info != nil {
		for _, m := range info.Deps {
			if m.Path == module {
				return m.Version
			}
		}
	}
	return "(unknown)"
}

// sealed is a case over TLS, with the same flags on both sides, and more on the client's.
func (p plan) sealed(name string, same flags, perf ...string) suite.Case {
	c := p.both(name, same, perf...)
	pair := c.Runner.(run.Pair)
	pair.Server.Common = append(pair.Server.Common, p.certificates.server()...)
	pair.Client.Common = append(pair.Client.Common, p.certificates.client()...)
	c.Runner = pair
	return c
}

// grpcTLS is a case of gRPC-Go over TLS.
func (p plan) grpcTLS(name string, perf ...string) suite.Case {
	c := p.grpc(name, perf...)
	pair := c.Runner.(run.Pair)
	pair.Server.Common = append(pair.Server.Common, p.certificates.server()...)
	pair.Client.Common = append(pair.Client.Common, p.certificates.client()...)
	c.Runner = pair
	return c
}

// quic is a case of quic-go.
func (p plan) quic(name string, perf ...string) suite.Case {
	return suite.Case{Name: name, Runner: run.Pair{
		Server: run.Command{Program: p.self, Verb: "quic-serve", Common: append(flags{"--cpu", serverCPU}, p.certificates.server()...)},
		Client: run.Command{Program: p.self, Verb: "quic-perf", Flags: perf,
			Common: slices.Concat(p.calling(), flags{"--server-cpu", serverCPU}, p.certificates.client())},
		Limit: p.duration + p.warmup + spare,
	}}
}

// flooded is a case beside which garbage is sent.
func (p plan) flooded(c suite.Case, flood ...string) suite.Case {
	pair := c.Runner.(run.Pair)
	pair.Beside = run.Command{Program: p.self, Verb: "flood", Flags: flood}
	c.Runner = pair
	return c
}

func (p plan) handshake(name, benchmark string) suite.Case {
	return suite.Case{Name: name, Runner: run.Benchmark{Test: p.programs.handshakes, Name: benchmark, Time: p.benchtime}}
}

func (p plan) tlsGroups() []suite.Group {
	const large = "8388608"
	return []suite.Group{
		{
			Title: "Small echo, 64 in flight",
			About: "32-byte messages on one session in the continuation form, both sides polling busily.",
			Cases: []suite.Case{
				p.sealed("sealed", busy, "--window", "64"),
				p.both("plain", busy, "--window", "64"),
				p.sealed("sealed, no coalescing", noCoalesce, "--window", "64"),
				p.both("plain, no coalescing", noCoalesce, "--window", "64"),
				p.grpcTLS("gRPC-Go, TLS", "--mode", "rate", "--window", "64"),
				p.quic("quic-go", "--mode", "rate", "--window", "64"),
			},
			Main: suite.Rate, Others: perCall,
			Claims: []suite.Claim{
				{Text: "rate, sealed / plain", Metric: suite.Rate, Of: "sealed", To: "plain", Bound: suite.AtLeast(0.85)},
				{Text: "rate, sealed / plain, a datagram each", Metric: suite.Rate, Of: "sealed, no coalescing", To: "plain, no coalescing"},
				{Text: "rate / gRPC-Go's with TLS", Metric: suite.Rate, Of: "sealed", To: "gRPC-Go, TLS", Bound: suite.AtLeast(20)},
				{Text: "rate / quic-go's", Metric: suite.Rate, Of: "sealed", To: "quic-go", Bound: suite.AtLeast(4)},
				{Text: "allocations per small RPC, both processes together", Metric: suite.BothAllocs, Of: "sealed", Bound: suite.AtMost(0.01)},
			},
		},
		{
			Title: "One in flight",
			About: "32-byte messages, the next one after the reply to the last.",
			Cases: []suite.Case{
				p.sealed("sealed", busy, "--mode", "latency"),
				p.both("plain", busy, "--mode", "latency"),
			},
			Main: suite.P50, Others: []suite.Metric{suite.P99, suite.ClientCPU, suite.ServerCPU},
			Claims: []suite.Claim{{Text: "p50, sealed / plain", Metric: suite.P50, Of: "sealed", To: "plain", Bound: suite.AtMost(1.1)}},
		},
		{
			Title: "8 MiB transfers",
			About: "Four in flight on one session.",
			Cases: []suite.Case{
				p.sealed("upload, sealed", busy, "--mode", "upload"),
				p.both("upload, plain", busy, "--mode", "upload"),
				p.grpcTLS("upload, gRPC-Go, TLS", "--mode", "upload", "--size", large, "--window", "4"),
				p.quic("upload, quic-go", "--mode", "upload", "--size", large, "--window", "4"),
				p.sealed("download, sealed", busy, "--mode", "download"),
				p.both("download, plain", busy, "--mode", "download"),
				p.grpcTLS("download, gRPC-Go, TLS", "--mode", "download", "--size", large, "--window", "4"),
			},
			Main: suite.Goodput, Others: perByte,
			Claims: []suite.Claim{
				{Text: "upload, sealed / plain", Metric: suite.Goodput, Of: "upload, sealed", To: "upload, plain", Bound: suite.AtLeast(0.6)},
				{Text: "download, sealed / plain", Metric: suite.Goodput, Of: "download, sealed", To: "download, plain", Bound: suite.AtLeast(0.6)},
				{Text: "upload / gRPC-Go's with TLS", Metric: suite.Goodput, Of: "upload, sealed", To: "upload, gRPC-Go, TLS", Bound: suite.AtLeast(1.5)},
				{Text: "download / gRPC-Go's with TLS", Metric: suite.Goodput, Of: "download, sealed", To: "download, gRPC-Go, TLS", Bound: suite.AtLeast(1.5)},
				{Text: "upload / quic-go's", Metric: suite.Goodput, Of: "upload, sealed", To: "upload, quic-go", Bound: suite.AtLeast(4)},
			},
		},
		{
			Title: "Handshakes",
			About: "TLS handshakes by `crypto/tls`, client and server together, over loopback: in our connections, which carry a call, and in\nTCP's, which carry a byte. Loops block.",
			Cases: []suite.Case{
				p.handshake("ours, full", "BenchmarkConnect/full"),
				p.handshake("TCP, full", "BenchmarkTCP/full"),
				p.handshake("ours, resumed", "BenchmarkConnect/resumed"),
				p.handshake("TCP, resumed", "BenchmarkTCP/resumed"),
			},
			Main: suite.CPUPerOp, Others: []suite.Metric{suite.AllocsPerOp, suite.NanosPerOp},
			Claims: []suite.Claim{
				{Text: "full handshakes a second and core, ours / over TCP", Metric: suite.CPUPerOp, Of: "TCP, full", To: "ours, full", Bound: suite.AtLeast(0.7)},
				{Text: "resumed handshakes a second and core, ours / over TCP", Metric: suite.CPUPerOp, Of: "TCP, resumed", To: "ours, resumed", Bound: suite.AtLeast(0.7)},
			},
		},
		{
			Title: "Beside a flood of garbage",
			About: "As above, 64 in flight, sealed, beside 100,000 datagrams of 64 random bytes a second: to the server's port, or to one that\nnobody reads.",
			Cases: []suite.Case{
				p.flooded(p.sealed("to the server", busy, "--window", "64")),
				p.flooded(p.sealed("elsewhere", busy, "--window", "64"), "--elsewhere"),
			},
			Main: suite.Rate, Others: perCall,
			Claims: []suite.Claim{{Text: "rate, flood to the server / elsewhere", Metric: suite.Rate, Of: "to the server", To: "elsewhere", Bound: suite.AtLeast(0.8)}},
		},
	}
}
