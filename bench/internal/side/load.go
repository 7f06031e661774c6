package side

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Load is workers that each make one step after the other.
type Load struct {
	Workers          int
	Warmup, Duration time.Duration
}

// Measured is what a load measured, under the names of `peregrine perf --json`.
type Measured struct {
	Rate           float64 `json:"rate_rps"`
	P50            float64 `json:"p50_us"`
	P99            float64 `json:"p99_us"`
	Goodput        float64 `json:"goodput_gbps"`
	Allocs         float64 `json:"allocs_per_rpc"`
	ClientCPU      float64 `json:"client_cpu_ns_per_rpc"`
	CacheLine      int64   `json:"cacheline_rtt_ns"`
	CacheLineAfter int64   `json:"cacheline_rtt_after_ns"`

	Steps uint64 `json:"-"` // completed while measuring
}

// ErrNone says that Duration was too short for a step.
var ErrNone = errors.New("no call was completed in the measured time")

// Phases of a load, in order.
const (
	warming int32 = iota
	measuring
	stopping
)

// worker is one worker's count, alone on its cache lines.
type worker struct {
	steps     uint64 // completed while measuring
	latencies *hdrhistogram.Histogram
	err       error
	_         [96]byte
}

// Run measures. begin gives a worker, counted from 0, its step; at, if not nil, is called
// as the measurement begins and again when it is over. bytes are what a step moves.
func (l Load) Run(bytes int, begin func(worker int) (step func() error, err error), at func() error) (m Measured, err error) {
	if at == nil {
		at = func() error { return nil }
	}
	var (
		phase   atomic.Int32
		workers = make([]worker, l.Workers)
		running sync.WaitGroup
	)
	for i := range workers {
		running.Go(func() { workers[i].err = workers[i].run(i, begin, &phase) })
	}
	time.Sleep(l.Warmup)
	errs := []error{at()}
	before, err := UsageNow()
	errs = append(errs, err)
	phase.Store(measuring)
	began := time.Now()
	time.Sleep(l.Duration)
	phase.Store(stopping)
	elapsed := time.Since(began)
	after, err := UsageNow()
	errs = append(errs, err, at())
	running.Wait()
	latencies := newLatencies()
	for i := range workers {
		m.Steps += workers[i].steps
		latencies.Merge(workers[i].latencies)
		errs = append(errs, workers[i].err)
	}
	switch err := errors.Join(errs...); {
	case err != nil:
		return m, err
	case m.Steps == 0:
		return m, ErrNone
	}
	n := float64(m.Steps)
	m.Rate = n / elapsed.Seconds()
	m.Goodput = m.Rate * float64(bytes) * 8 / 1e9
	m.P50, m.P99 = float64(latencies.ValueAtQuantile(50))/1e3, float64(latencies.ValueAtQuantile(99))/1e3
	m.Allocs, m.ClientCPU = float64(after.Mallocs-before.Mallocs)/n, float64(after.CPU-before.CPU)/n
	return m, nil
}

func newLatencies() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(time.Minute), 3) }

// run makes steps until it is told to stop, and counts while measuring.
func (w *worker) run(i int, begin func(int) (func() error, error), phase *atomic.Int32) error {
	w.latencies = newLatencies()
	step, err := begin(i)
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
			w.steps++
			_ = w.latencies.RecordValue(min(int64(time.Since(began)), int64(time.Minute)))
		case stopping:
			return nil
		}
	}
}
