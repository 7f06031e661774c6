package stubs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"

	pgrpc "github.com/peregrine-rpc/peregrine/grpc"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
	"github.com/peregrine-rpc/peregrine/internal/cacheline"
)

// lineTime is how long the cache line travels for one figure.
const lineTime = 20 * time.Millisecond

// load is what is measured: workers that each make steps of a mode.
type load struct {
	mode             string // unary, pingpong, download, upload or idle
	size, window     int
	duration, warmup time.Duration
}

// result has the names of `peregrine perf --json`.
type result struct {
	Rate           float64 `json:"rate_rps"`
	P50            float64 `json:"p50_us"`
	P99            float64 `json:"p99_us"`
	Goodput        float64 `json:"goodput_gbps"`
	Allocs         float64 `json:"allocs_per_rpc"`
	ServerAllocs   float64 `json:"server_allocs_per_rpc"`
	ClientCPU      float64 `json:"client_cpu_ns_per_rpc"`
	ServerCPU      float64 `json:"server_cpu_ns_per_rpc"`
	CacheLine      int64   `json:"cacheline_rtt_ns"`
	CacheLineAfter int64   `json:"cacheline_rtt_after_ns"`
}

// Perf is the client's program: it measures the server at its last argument and writes
// the result.
func Perf(args []string) error {
	var l load
	flags := flag.NewFlagSet("stubs-perf", flag.ContinueOnError)
	cpu := flags.Int("cpu", 1, "CPU that the whole process is pinned to")
	serverCPU := flags.Int("server-cpu", 0, "CPU of the server, for the cache line's round trip")
	over := flags.String("over", "", "grpc, drpc or peregrine")
	file := flags.String("json", "", "file for the result")
	flags.StringVar(&l.mode, "mode", "unary", "unary, pingpong, download, upload or idle")
	flags.IntVar(&l.size, "size", 32, "bytes of a payload")
	flags.IntVar(&l.window, "window", 64, "goroutines that call, or streams")
	flags.DurationVar(&l.duration, "duration", 5*time.Second, "how long to measure")
	flags.DurationVar(&l.warmup, "warmup", 500*time.Millisecond, "how long to run before")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *file == "" || l.size < 1 || l.window < 1 {
		return errors.New("want --json FILE, a --size and a --window of at least 1, and the server's address")
	}
	before, err := cacheline.RoundTrip(*cpu, *serverCPU, lineTime)
	if err != nil {
		return err
	}
	if err := pin(*cpu); err != nil {
		return err
	}
	conn, err := dial(*over, flags.Arg(0))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := pb.NewBenchmarkServiceClient(conn)
	if l.mode == "idle" {
		m, err := idle(context.Background(), client, l.window)
		if err != nil {
			return err
		}
		return side.WriteResult(*file, m)
	}
	r, err := l.run(context.Background(), client)
	if err != nil {
		return err
	}
	after, err := cacheline.RoundTrip(*cpu, *serverCPU, lineTime)
	if err != nil {
		return err
	}
	r.CacheLine, r.CacheLineAfter = before.Nanoseconds(), after.Nanoseconds()
	return side.WriteResult(*file, r)
}

type conn interface {
	grpc.ClientConnInterface
	io.Closer
}

func dial(over, addr string) (conn, error) {
	switch over {
	case "grpc":
		return grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)), grpc.WithNoProxy())
	case "drpc":
		return dialDRPC(addr), nil
	case "peregrine":
		return pgrpc.NewClient(addr, pgrpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	}
	return nil, fmt.Errorf("--over is grpc, drpc or peregrine, not %q", over)
}

var errNone = errors.New("no call was completed in the measured time")

// Phases of a run, in order.
const (
	warming int32 = iota
	measuring
	stopping
)

// worker is one goroutine's count, alone on its cache lines.
type worker struct {
	calls     uint64 // completed while measuring
	latencies *hdrhistogram.Histogram
	err       error
	_         [96]byte
}

// run measures over one connection.
func (l load) run(ctx context.Context, client pb.BenchmarkServiceClient) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if _, err := serverUsage(ctx, client); err != nil { // connects
		return result{}, err
	}
	var (
		phase   atomic.Int32
		workers = make([]worker, l.window)
		running sync.WaitGroup
	)
	for i := range workers {
		running.Go(func() { workers[i].err = workers[i].run(ctx, client, &phase, l) })
	}
	time.Sleep(l.warmup)
	server0, errServer := serverUsage(ctx, client)
	client0, errClient := side.UsageNow()
	phase.Store(measuring)
	began := time.Now()
	time.Sleep(l.duration)
	phase.Store(stopping)
	elapsed := time.Since(began)
	client1, errClient1 := side.UsageNow()
	server1, errServer1 := serverUsage(ctx, client)
	running.Wait()
	all, latencies := uint64(0), hdrhistogram.New(1, int64(time.Minute), 3)
	errs := []error{errServer, errClient, errClient1, errServer1}
	for i := range workers {
		all += workers[i].calls
		latencies.Merge(workers[i].latencies)
		errs = append(errs, workers[i].err)
	}
	if err := errors.Join(errs...); err != nil {
		return result{}, err
	}
	if all == 0 {
		return result{}, errNone
	}
	n := float64(all)
	r := result{
		Rate: n / elapsed.Seconds(),
		P50:  float64(latencies.ValueAtQuantile(50)) / 1e3, P99: float64(latencies.ValueAtQuantile(99)) / 1e3,
		Allocs: float64(client1.Mallocs-client0.Mallocs) / n, ServerAllocs: float64(server1.Mallocs-server0.Mallocs) / n,
		ClientCPU: float64(client1.CPU-client0.CPU) / n, ServerCPU: float64(server1.CPU-server0.CPU) / n,
	}
	r.Goodput = r.Rate * float64(l.size) * 8 / 1e9
	return r, nil
}

// run makes steps until it is told to stop, and counts while measuring.
func (w *worker) run(ctx context.Context, client pb.BenchmarkServiceClient, phase *atomic.Int32, l load) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.latencies = hdrhistogram.New(1, int64(time.Minute), 3)
	step, err := l.step(ctx, client)
	if err != nil {
		return err
	}
	for {
		began := time.Now()
		if err := step(); err != nil {
			return err
		}
		switch phase.Load() {
		case measuring:
			w.calls++
			_ = w.latencies.RecordValue(min(int64(time.Since(began)), int64(time.Minute)))
		case stopping:
			return nil
		}
	}
}

// step returns what a worker does again and again: a call, a message there and back, or
// one received or sent.
func (l load) step(ctx context.Context, client pb.BenchmarkServiceClient) (func() error, error) {
	request := &pb.SimpleRequest{Payload: &pb.Payload{Body: bytes.Repeat([]byte{0x5a}, l.size)}}
	check := func(reply *pb.SimpleResponse, err error) error {
		if err == nil && len(reply.GetPayload().GetBody()) != l.size {
			err = errors.New("a reply has the wrong length")
		}
		return err
	}
	switch l.mode {
	case "unary":
		return func() error { return check(client.UnaryCall(ctx, request)) }, nil
	case "pingpong":
		stream, err := client.StreamingCall(ctx)
		return func() error {
			if err := stream.Send(request); err != nil {
				return err
			}
			return check(stream.Recv())
		}, err
	case "download":
		stream, err := client.StreamingFromServer(ctx, request)
		return func() error { return check(stream.Recv()) }, err
	case "upload":
		stream, err := client.StreamingFromClient(ctx)
		return func() error { return stream.Send(request) }, err
	}
	return nil, fmt.Errorf("--mode is unary, pingpong, download, upload or idle, not %q", l.mode)
}

func serverUsage(ctx context.Context, client pb.BenchmarkServiceClient) (usage side.Usage, err error) {
	reply, err := client.UnaryCall(ctx, &pb.SimpleRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return usage, fmt.Errorf("the server's statistics: %w", err)
	}
	return usage, json.Unmarshal(reply.GetPayload().GetBody(), &usage)
}
