package measure

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The histogram's range and precision: three digits from 1 ns to one minute.
const (
	shortest = int64(time.Nanosecond)
	longest  = int64(time.Minute)
	digits   = 3
)

// A Recorder collects latencies. Any goroutine may call its methods.
type Recorder struct {
	mu   sync.Mutex
	hist *hdrhistogram.Histogram
}

// NewRecorder returns an empty Recorder.
func NewRecorder() *Recorder {
	return &Recorder{hist: hdrhistogram.New(shortest, longest, digits)}
}

// Record adds one latency. Longer ones than a minute count as a minute.
func (r *Recorder) Record(d time.Duration) {
	v := min(max(int64(d), shortest), longest)
	r.mu.Lock()
	_ = r.hist.RecordValue(v) // cannot fail: v is in range
	r.mu.Unlock()
}

// Reset forgets everything recorded so far.
func (r *Recorder) Reset() {
	r.mu.Lock()
	r.hist.Reset()
	r.mu.Unlock()
}

// Latency summarises what was recorded, all in microseconds.
type Latency struct {
	Min  float64 `json:"min_us"`
	Mean float64 `json:"mean_us"`
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
}

// Latency returns the summary so far; all zero if nothing was recorded.
func (r *Recorder) Latency() Latency {
	r.mu.Lock()
	defer r.mu.Unlock()
	us := func(ns int64) float64 { return float64(ns) / 1e3 }
	return Latency{
		Min:  us(r.hist.Min()),
		Mean: r.hist.Mean() / 1e3,
		P50:  us(r.hist.ValueAtQuantile(50)),
		P99:  us(r.hist.ValueAtQuantile(99)),
		P999: us(r.hist.ValueAtQuantile(99.9)),
		Max:  us(r.hist.Max()),
	}
}
