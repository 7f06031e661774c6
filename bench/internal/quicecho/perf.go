package quicecho

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
	"github.com/peregrine-rpc/peregrine/internal/cacheline"
)

// lineTime is how long the cache line travels for one figure.
const lineTime = 20 * time.Millisecond

// load keeps window calls outstanding, each on a stream of its own.
type load struct {
	mode             string // rate, latency or upload
	size, window     int
	duration, warmup time.Duration
}

// Perf is the client's program: it measures the server at its last argument and writes
// the result.
func Perf(args []string) error {
	var l load
	flags := flag.NewFlagSet("quic-perf", flag.ContinueOnError)
	cpu := flags.Int("cpu", 1, "CPU that the whole process is pinned to")
	serverCPU := flags.Int("server-cpu", 0, "CPU of the server, for the cache line's round trip")
	ca := flags.String("tls-ca", "", "PEM file of who has signed the server's certificate")
	json := flags.String("json", "", "file for the result")
	flags.StringVar(&l.mode, "mode", "rate", "rate, latency or upload")
	flags.IntVar(&l.size, "size", 32, "bytes of a message, at least 8")
	flags.IntVar(&l.window, "window", 64, "streams")
	flags.DurationVar(&l.duration, "duration", 5*time.Second, "how long to measure")
	flags.DurationVar(&l.warmup, "warmup", 500*time.Millisecond, "how long to run before")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *json == "" || l.size < 8 || l.size > maxMessage || l.window < 1 {
		return errors.New("want --json FILE, a --size of 8 bytes to 64 MiB, and the server's address")
	}
	text, err := os.ReadFile(*ca)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return fmt.Errorf("--tls-ca: %s has no certificate", *ca)
	}
	before, err := cacheline.RoundTrip(*cpu, *serverCPU, lineTime)
	if err != nil {
		return err
	}
	if err := affinity.SetProcess(*cpu); err != nil {
		return err
	}
	runtime.GOMAXPROCS(1)
	conn, err := dial(context.Background(), flags.Arg(0), pool)
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	r, err := l.run(context.Background(), conn)
	if err != nil {
		return err
	}
	after, err := cacheline.RoundTrip(*cpu, *serverCPU, lineTime)
	if err != nil {
		return err
	}
	r.CacheLine, r.CacheLineAfter = before.Nanoseconds(), after.Nanoseconds()
	return side.WriteResult(*json, r)
}

func dial(ctx context.Context, addr string, pool *x509.CertPool) (*quic.Conn, error) {
	return quic.DialAddr(ctx, addr, &tls.Config{RootCAs: pool, NextProtos: []string{alpn}}, settings())
}

func (l load) run(ctx context.Context, conn *quic.Conn) (side.Measured, error) {
	kind := echo
	switch l.mode {
	case "rate", "latency":
	case "upload":
		kind = upload
	default:
		return side.Measured{}, fmt.Errorf("--mode is rate, latency or upload, not %q", l.mode)
	}
	measured := side.Load{Workers: l.window, Warmup: l.warmup, Duration: l.duration}
	return measured.Run(l.size, func(i int) (func() error, error) { return calls(ctx, conn, kind, l.size, uint64(i)) }, nil)
}

// calls returns what calls again and again on a stream of its own, which ends with the connection.
func calls(ctx context.Context, conn *quic.Conn, kind byte, size int, seq uint64) (func() error, error) {
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := stream.Write([]byte{kind}); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(stream, 64<<10)
	request, out, buf := make([]byte, size), make([]byte, 0, lengthSize+size), make([]byte, max(size, uploadSize))
	return func() error {
		seq++
		binary.LittleEndian.PutUint64(request, seq)
		if err := write(stream, out, request); err != nil {
			return err
		}
		reply, err := read(in, buf)
		if err == nil && !right(kind, request, reply) {
			err = errors.New("a reply is wrong")
		}
		return err
	}, nil
}

// right says whether a reply answers a request.
func right(kind byte, request, reply []byte) bool {
	if kind == echo {
		return bytes.Equal(request, reply)
	}
	return len(reply) == uploadSize && binary.LittleEndian.Uint64(reply) == uint64(len(request)) && bytes.Equal(reply[8:], request[:8])
}
