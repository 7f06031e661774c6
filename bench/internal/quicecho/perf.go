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
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
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

// result has the names of `peregrine perf --json`.
type result struct {
	Rate           float64 `json:"rate_rps"`
	P50            float64 `json:"p50_us"`
	P99            float64 `json:"p99_us"`
	Goodput        float64 `json:"goodput_gbps"`
	Allocs         float64 `json:"allocs_per_rpc"`
	ClientCPU      float64 `json:"client_cpu_ns_per_rpc"`
	CacheLine      int64   `json:"cacheline_rtt_ns"`
	CacheLineAfter int64   `json:"cacheline_rtt_after_ns"`
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

var errNone = errors.New("no call was completed in the measured time")

// Phases of a run, in order.
const (
	warming int32 = iota
	measuring
	stopping
)

// worker is one stream's count, alone on its cache lines.
type worker struct {
	calls     uint64 // completed while measuring
	latencies *hdrhistogram.Histogram
	err       error
	_         [96]byte
}

func (l load) run(ctx context.Context, conn *quic.Conn) (r result, err error) {
	kind := echo
	switch l.mode {
	case "rate", "latency":
	case "upload":
		kind = upload
	default:
		return r, fmt.Errorf("--mode is rate, latency or upload, not %q", l.mode)
	}
	var (
		phase   atomic.Int32
		workers = make([]worker, l.window)
		running sync.WaitGroup
	)
	for i := range workers {
		running.Go(func() { workers[i].err = workers[i].run(ctx, conn, &phase, kind, l.size, uint64(i)) })
	}
	time.Sleep(l.warmup)
	used0, err0 := side.UsageNow()
	phase.Store(measuring)
	began := time.Now()
	time.Sleep(l.duration)
	phase.Store(stopping)
	elapsed := time.Since(began)
	used1, err1 := side.UsageNow()
	running.Wait()
	calls, latencies, errs := uint64(0), hdrhistogram.New(1, int64(time.Minute), 3), []error{err0, err1}
	for i := range workers {
		calls += workers[i].calls
		latencies.Merge(workers[i].latencies)
		errs = append(errs, workers[i].err)
	}
	switch err := errors.Join(errs...); {
	case err != nil:
		return r, err
	case calls == 0:
		return r, errNone
	}
	n := float64(calls)
	r = result{
		Rate: n / elapsed.Seconds(),
		P50:  float64(latencies.ValueAtQuantile(50)) / 1e3, P99: float64(latencies.ValueAtQuantile(99)) / 1e3,
		Allocs: float64(used1.Mallocs-used0.Mallocs) / n, ClientCPU: float64(used1.CPU-used0.CPU) / n,
	}
	r.Goodput = r.Rate * float64(l.size) * 8 / 1e9
	return r, nil
}

// run calls until it is told to stop, and counts while measuring.
func (w *worker) run(ctx context.Context, conn *quic.Conn, phase *atomic.Int32, kind byte, size int, seq uint64) error {
	w.latencies = hdrhistogram.New(1, int64(time.Minute), 3)
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	if _, err := stream.Write([]byte{kind}); err != nil {
		return err
	}
	in := bufio.NewReaderSize(stream, 64<<10)
	request, out, buf := make([]byte, size), make([]byte, 0, lengthSize+size), make([]byte, max(size, uploadSize))
	for {
		seq++
		binary.LittleEndian.PutUint64(request, seq)
		began := time.Now()
		if err := write(stream, out, request); err != nil {
			return err
		}
		reply, err := read(in, buf)
		if err != nil {
			return err
		}
		if !right(kind, request, reply) {
			return errors.New("a reply is wrong")
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

// right says whether a reply answers a request.
func right(kind byte, request, reply []byte) bool {
	if kind == echo {
		return bytes.Equal(request, reply)
	}
	return len(reply) == uploadSize && binary.LittleEndian.Uint64(reply) == uint64(len(request)) && bytes.Equal(reply[8:], request[:8])
}
