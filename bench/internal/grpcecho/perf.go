package grpcecho

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
	"github.com/peregrine-rpc/peregrine/internal/cacheline"
)

// lineTime is how long the cache line travels for one figure.
const lineTime = 20 * time.Millisecond

// Perf is the client's program: it measures the server at its last argument and
// writes the result.
func Perf(args []string) error {
	var l load
	flags := flag.NewFlagSet("grpc-perf", flag.ContinueOnError)
	cpu := flags.Int("cpu", 1, "CPU that the whole process is pinned to")
	serverCPU := flags.Int("server-cpu", 0, "CPU of the server, for the cache line's round trip")
	ca := flags.String("tls-ca", "", "PEM file of who has signed the server's certificate, for TLS")
	json := flags.String("json", "", "file for the result")
	flags.StringVar(&l.mode, "mode", "rate", "rate, latency, upload or download")
	flags.IntVar(&l.size, "size", 32, "bytes of a message, at least 8")
	flags.IntVar(&l.window, "window", 64, "goroutines that call")
	flags.DurationVar(&l.duration, "duration", 5*time.Second, "how long to measure")
	flags.DurationVar(&l.warmup, "warmup", 500*time.Millisecond, "how long to run before")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *json == "" || l.size < 8 || l.size > maxMessage {
		return errors.New("want --json FILE, a --size of 8 bytes to 64 MiB, and the server's address")
	}
	before, err := cacheline.RoundTrip(*cpu, *serverCPU, lineTime)
	if err != nil {
		return err
	}
	if err := pinProcess(*cpu); err != nil {
		return err
	}
	secrecy := insecure.NewCredentials()
	if *ca != "" {
		if secrecy, err = credentials.NewClientTLSFromFile(*ca, ""); err != nil {
			return err
		}
	}
	conn, err := dial(flags.Arg(0), secrecy)
	if err != nil {
		return err
	}
	defer conn.Close()
	result, err := l.run(context.Background(), conn)
	if err != nil {
		return err
	}
	after, err := cacheline.RoundTrip(*cpu, *serverCPU, lineTime)
	if err != nil {
		return err
	}
	result.CacheLine, result.CacheLineAfter = before.Nanoseconds(), after.Nanoseconds()
	return side.WriteResult(*json, result)
}

func dial(addr string, secrecy credentials.TransportCredentials) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(secrecy),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(codec{}),
			grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage),
		),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window),
		grpc.WithDisableRetry(), grpc.WithNoProxy(),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return conn, nil
}
