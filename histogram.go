package peregrine

import (
	"iter"
	"math/bits"
	"time"
)

// Histogram counts durations in buckets whose width is a sixteenth of a power of
// two, from 1 ns to about a minute: what it says of a duration is wrong by 6 % at
// most. It is a value; see [Endpoint.Snapshot].
type Histogram struct {
	counts [histogramBuckets]uint64
	sum    time.Duration
}

const (
	histogramBits    = 4 // of a duration, behind the highest
	histogramLimit   = 36
	histogramBuckets = (histogramLimit - histogramBits + 1) << histogramBits
)

// record counts n durations.
func (h *Histogram) record(d time.Duration, n uint64) {
	h.counts[bucketOf(d)] += n
	h.sum += d * time.Duration(n)
}

func bucketOf(d time.Duration) int {
	v := uint64(max(0, d))
	shift := bits.Len64(v>>histogramBits) - 1
	if shift < 0 {
		return int(v)
	}
	if shift+histogramBits >= histogramLimit {
		return histogramBuckets - 1
	}
	return shift<<histogramBits + int(v>>shift)
}

// above is the least duration that is above the bucket.
func above(bucket int) time.Duration {
	bucket++
	shift := max(0, bucket>>histogramBits-1)
	return time.Duration(bucket-shift<<histogramBits) << shift
}

// Count is how many durations were counted, and Sum their sum.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

// Sum is that of all durations, exactly.
func (h *Histogram) Sum() time.Duration { return h.sum }

// Buckets goes through those that have any, from the lowest: durations in
// [from, to), and how many. The last one has no upper bound.
func (h *Histogram) Buckets() iter.Seq2[[2]time.Duration, uint64] {
	return func(yield func([2]time.Duration, uint64) bool) {
		for i, n := range h.counts {
			if n > 0 && !yield([2]time.Duration{above(i - 1), above(i)}, n) {
				return
			}
		}
	}
}

// Quantile is the duration that a share q of all is not above, from 0 to 1; 0 of
// none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.Count()))
	for i, n := range h.counts {
		if n > rank || n > 0 && n == rank {
			return (above(i-1) + above(i) - 1) / 2
		}
		rank -= n
	}
	return 0
}

// Add adds what o has counted.
func (h *Histogram) Add(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.sum += o.sum
}

// Sub takes away what o has counted, which must be an earlier state of h.
func (h *Histogram) Sub(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] -= n
	}
	h.sum -= o.sum
}
