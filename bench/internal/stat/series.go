package stat

import (
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/internal/cacheline"
)

// Label is the machine's speed during a run.
type Label string

// The labels. A run without one did not depend on two CPUs, or the distance
// between them could not be measured.
const (
	None  Label = ""
	Near  Label = "near"
	Far   Label = "far"
	Mixed Label = "mixed" // it changed during the run
)

// LabelOf names a run by the cache line's round trips before and after it, in
// nanoseconds; 0 is an unknown one.
func LabelOf(before, after float64) Label {
	if before == 0 || after == 0 {
		return None
	}
	first, last := cacheline.Label(time.Duration(before)), cacheline.Label(time.Duration(after))
	if first != last {
		return Mixed
	}
	return Label(first)
}

// Sample is the result of one run: values by name.
type Sample struct {
	Label  Label
	Values map[string]float64
}

// Series is the runs of one program, by round; nil where a run failed.
type Series []*Sample

// Count is how many runs with a label there are.
func (s Series) Count(label Label) (n int) {
	for _, sample := range s {
		if sample != nil && sample.Label == label {
			n++
		}
	}
	return n
}

// Median is that of a value over the runs with one of the labels; false if
// there is none.
func (s Series) Median(key string, labels ...Label) (float64, bool) {
	var values []float64
	for _, sample := range s {
		if sample == nil || !slices.Contains(labels, sample.Label) {
			continue
		}
		if v, ok := sample.Values[key]; ok {
			values = append(values, v)
		}
	}
	return median(values)
}

// Typical is the median over the runs at one speed throughout. Mixed ones count
// only where there are no others; Unlike tells.
func (s Series) Typical(key string) (float64, bool) {
	if v, ok := s.Median(key, None, Near, Far); ok {
		return v, true
	}
	return s.Median(key, Mixed)
}

// Unlike says that all there is are mixed runs, or ratios of unlike ones.
func (s Series) Unlike() bool {
	return s.Count(Mixed) > 0 && s.Count(None)+s.Count(Near)+s.Count(Far) == 0
}

func median(values []float64) (float64, bool) {
	n := len(values)
	if n == 0 {
		return 0, false
	}
	slices.Sort(values)
	return (values[(n-1)/2] + values[n/2]) / 2, true
}

// Ratio divides a value of one program by another's, run by run of the same
// round, as these are the closest in time. Two runs at different speeds make a
// mixed ratio.
func Ratio(of, to Series, key string) Series {
	ratios := make(Series, min(len(of), len(to)))
	for i := range ratios {
		if of[i] == nil || to[i] == nil {
			continue
		}
		a, okA := of[i].Values[key]
		b, okB := to[i].Values[key]
		if !okA || !okB || b == 0 {
			continue
		}
		label := of[i].Label
		if to[i].Label != label {
			label = Mixed
		}
		ratios[i] = &Sample{Label: label, Values: map[string]float64{key: a / b}}
	}
	return ratios
}

// Least is the least of a value in ratio to its median, over the runs at any
// speed: a series of one sample, or of none.
func (s Series) Least(key string) Series {
	middle, ok := s.Median(key, None, Near, Far, Mixed)
	if !ok || middle == 0 {
		return nil
	}
	least := middle
	for _, sample := range s {
		if sample != nil {
			least = min(least, sample.Values[key])
		}
	}
	return Series{{Values: map[string]float64{key: least / middle}}}
}
