package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/grpc/codes"
)

// result is what was measured, with ghz's keys and in its units: nanoseconds.
type result struct {
	Date         time.Time      `json:"date"`
	Options      options        `json:"options"`
	Count        int            `json:"count"`
	Total        time.Duration  `json:"total"`
	Average      time.Duration  `json:"average"`
	Fastest      time.Duration  `json:"fastest"`
	Slowest      time.Duration  `json:"slowest"`
	RPS          float64        `json:"rps"`
	Reasons      map[string]int `json:"errorDistribution"`
	Codes        map[string]int `json:"statusCodeDistribution"`
	Distribution []quantile     `json:"latencyDistribution"`
}

// options are those that the result came about by.
type options struct {
	Call        string        `json:"call"`
	Over        string        `json:"over"`
	Size        int           `json:"size"`
	Concurrency int           `json:"concurrency"`
	Connections int           `json:"connections"`
	Total       int           `json:"total,omitempty"`
	Duration    time.Duration `json:"duration,omitempty"`
	RPS         int           `json:"rps,omitempty"`
}

type quantile struct {
	Percentage float64       `json:"percentage"`
	Latency    time.Duration `json:"latency"`
}

var percentages = []float64{10, 25, 50, 75, 90, 95, 99, 99.9}

// newResult sums up.
func newResult(l *load, began time.Time, elapsed time.Duration, workers []worker) *result {
	r := &result{
		Date: began, Total: elapsed, Reasons: map[string]int{}, Codes: map[string]int{},
		Options: options{l.call, l.over, l.size, l.concurrency, l.connections, l.total, l.duration, l.rps},
	}
	if l.duration > 0 {
		r.Options.Total = 0
	}
	latencies, sum := hdrhistogram.New(1, int64(longest), 3), time.Duration(0)
	for _, w := range workers {
		latencies.Merge(w.latencies)
		sum += w.sum
		for code, n := range w.codes {
			r.Codes[code.String()] += n
			r.Count += n
		}
		for reason, n := range w.reasons {
			r.Reasons[reason] += n
		}
	}
	if r.Count == 0 {
		return r
	}
	r.Average = sum / time.Duration(r.Count)
	r.Fastest, r.Slowest = time.Duration(latencies.Min()), time.Duration(latencies.Max())
	r.RPS = float64(r.Count) / elapsed.Seconds()
	for _, p := range percentages {
		r.Distribution = append(r.Distribution, quantile{p, time.Duration(latencies.ValueAtQuantile(p))})
	}
	return r
}

// failed is how many calls did.
func (r *result) failed() int { return r.Count - r.Codes[codes.OK.String()] }

// reasons are why, each with how often.
func (r *result) reasons() (all []string) {
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		all = append(all, fmt.Sprintf("%d × %s", r.Reasons[reason], reason))
	}
	return all
}

// print writes the result for people, much as ghz does.
func (r *result) print(w io.Writer) {
	o := r.Options
	fmt.Fprintf(w, "%s of %d B over %s, %d at a time, connections: %d\n\n", o.Call, o.Size, o.Over, o.Concurrency, o.Connections)
	fmt.Fprintf(w, "  count         %d\n  total         %v\n", r.Count, r.Total.Round(time.Millisecond))
	if r.Count == 0 {
		return
	}
	short := func(d time.Duration) time.Duration { return d.Round(100 * time.Nanosecond) }
	fmt.Fprintf(w, "  slowest       %v\n  fastest       %v\n  average       %v\n  requests/sec  %.0f\n",
		short(r.Slowest), short(r.Fastest), short(r.Average), r.RPS)
	fmt.Fprintf(w, "\nlatency distribution:\n")
	for _, q := range r.Distribution {
		fmt.Fprintf(w, "  %-4v %% in %v\n", q.Percentage, short(q.Latency))
	}
	fmt.Fprintf(w, "\nstatus codes:\n")
	for _, code := range slices.Sorted(maps.Keys(r.Codes)) {
		fmt.Fprintf(w, "  %-18s %d\n", code, r.Codes[code])
	}
}

// writeJSON writes it to a file, or out for "-".
func (r *result) writeJSON(path string, out io.Writer) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if path == "-" {
		_, err = out.Write(text)
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
