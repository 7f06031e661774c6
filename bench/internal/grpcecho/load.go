package grpcecho

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
)

// load keeps window calls outstanding, each in a goroutine.
type load struct {
	mode             string
	size, window     int
	duration, warmup time.Duration
}

// result has the names of `peregrine perf --json`.
type result struct {
	Rate           float64 `json:"rate_rps"`
	P50            float64 `json:"p50_us"`
	P99            float64 `json:"p99_us"`
	P999           float64 `json:"p999_us"`
	Goodput        float64 `json:"goodput_gbps"`
	Allocs         float64 `json:"allocs_per_rpc"`
	ServerAllocs   float64 `json:"server_allocs_per_rpc"`
	ClientCPU      float64 `json:"client_cpu_ns_per_rpc"`
	ServerCPU      float64 `json:"server_cpu_ns_per_rpc"`
	CacheLine      int64   `json:"cacheline_rtt_ns"`
	CacheLineAfter int64   `json:"cacheline_rtt_after_ns"`
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
func (l load) run(ctx context.Context, conn *grpc.ClientConn) (result, error) {
	var r result
	calls, err := l.work()
	if err != nil {
		return r, err
	}
	if _, err := serverUsage(ctx, conn); err != nil { // connects
		return r, err
	}
	var (
		phase   atomic.Int32
		workers = make([]worker, l.window)
		running sync.WaitGroup
	)
	for i := range workers {
		running.Go(func() { workers[i].run(ctx, conn, calls, &phase, i, l) })
	}
	stop := func() error {
		phase.Store(stopping)
		running.Wait()
		var errs []error
		for i := range workers {
			errs = append(errs, workers[i].err)
		}
		return errors.Join(errs...)
	}
	time.Sleep(l.warmup)
	serverBefore, errServer := serverUsage(ctx, conn)
	clientBefore, errClient := side.UsageNow()
	if err := errors.Join(errServer, errClient); err != nil {
		return r, errors.Join(err, stop())
	}
	phase.Store(measuring)
	began := time.Now()
	time.Sleep(l.duration)
	phase.Store(stopping)
	elapsed := time.Since(began)
	clientAfter, errClient := side.UsageNow()
	serverAfter, errServer := serverUsage(ctx, conn)
	if err := errors.Join(errServer, errClient, stop()); err != nil {
		return r, err
	}
	return l.sum(workers, elapsed, clientBefore, clientAfter, serverBefore, serverAfter)
}

func (l load) sum(workers []worker, elapsed time.Duration, client0, client1, server0, server1 side.Usage) (result, error) {
	var calls uint64
	latencies := workers[0].latencies
	for i := range workers {
		calls += workers[i].calls
		if i > 0 {
			latencies.Merge(workers[i].latencies)
		}
	}
	if calls == 0 {
		return result{}, errNone
	}
	us := func(percent float64) float64 { return float64(latencies.ValueAtQuantile(percent)) / 1e3 }
	n := float64(calls)
	r := result{
		Rate: n / elapsed.Seconds(),
		P50:  us(50), P99: us(99), P999: us(99.9),
		Allocs:       float64(client1.Mallocs-client0.Mallocs) / n,
		ServerAllocs: float64(server1.Mallocs-server0.Mallocs) / n,
		ClientCPU:    float64(client1.CPU-client0.CPU) / n,
		ServerCPU:    float64(server1.CPU-server0.CPU) / n,
	}
	r.Goodput = r.Rate * float64(l.size) * 8 / 1e9
	return r, nil
}

// run calls until it is told to stop, and counts while measuring.
func (w *worker) run(ctx context.Context, conn *grpc.ClientConn, calls work, phase *atomic.Int32, index int, l load) {
	w.latencies = hdrhistogram.New(1, int64(time.Minute), 3)
	sampleEvery := 1
	if l.mode == "rate" {
		sampleEvery = 16 // as `peregrine perf`
	}
	buf := make([]byte, max(16, l.size))
	var request, reply frame
	var sent time.Time
	for n, seq := 0, uint64(index); ; n, seq = n+1, seq+uint64(l.window) {
		sampled := n%sampleEvery == 0
		if sampled {
			sent = time.Now()
		}
		text := calls.request(buf, seq)
		request.buf = mem.SliceBuffer(text)
		if w.err = conn.Invoke(ctx, calls.method(), &request, &reply); w.err != nil {
			return
		}
		right := calls.right(text, reply.data(), seq)
		reply.free()
		if !right {
			w.err = fmt.Errorf("the reply to call %d is wrong", seq)
			return
		}
		switch phase.Load() {
		case measuring:
			w.calls++
			if sampled {
				_ = w.latencies.RecordValue(min(int64(time.Since(sent)), int64(time.Minute)))
			}
		case stopping:
			return
		}
	}
}

func serverUsage(ctx context.Context, conn *grpc.ClientConn) (usage side.Usage, err error) {
	var reply frame
	if err := conn.Invoke(ctx, statisticsMethod, newFrame(nil), &reply, grpc.WaitForReady(true)); err != nil {
		return usage, fmt.Errorf("the server's statistics: %w", err)
	}
	defer reply.free()
	return usage, json.Unmarshal(reply.data(), &usage)
}
