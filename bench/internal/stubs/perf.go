package stubs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

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

// result is what was measured of both sides.
type result struct {
	side.Measured
	ServerAllocs float64 `json:"server_allocs_per_rpc"`
	ServerCPU    float64 `json:"server_cpu_ns_per_rpc"`
}

// Perf is the client's program: it measures the server at its last argument and writes
// the result.
func Perf(args []string) error {
	var l load
	flags := flag.NewFlagSet("stubs-perf", flag.ContinueOnError)
	cpu := flags.Int("cpu", 1, "CPU that the whole process is pinned to")
	serverCPU := flags.Int("server-cpu", 0, "CPU of the server, for the cache line's round trip")
	over := flags.String("over", "", "grpc, drpc, peregrine or nothing")
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
	case "nothing":
		return nothing{}, nil
	case "peregrine":
		return pgrpc.NewClient(addr, pgrpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	}
	return nil, fmt.Errorf("--over is grpc, drpc, peregrine or nothing, not %q", over)
}

// run measures over one connection.
func (l load) run(ctx context.Context, client pb.BenchmarkServiceClient) (r result, err error) {
	ctx, cancel := context.WithCancel(ctx) // ends the streams
	defer cancel()
	if _, err := serverUsage(ctx, client); err != nil { // connects
		return r, err
	}
	var server []side.Usage
	measured := side.Load{Workers: l.window, Warmup: l.warmup, Duration: l.duration}
	r.Measured, err = measured.Run(l.size, func(int) (func() error, error) { return l.step(ctx, client) }, func() error {
		usage, err := serverUsage(ctx, client)
		server = append(server, usage)
		return err
	})
	if err != nil {
		return r, err
	}
	n := float64(r.Steps)
	r.ServerAllocs, r.ServerCPU = float64(server[1].Mallocs-server[0].Mallocs)/n, float64(server[1].CPU-server[0].CPU)/n
	return r, nil
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
