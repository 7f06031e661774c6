package experiment

import (
	"slices"
	"sort"
	"time"
)

// series is durations, in the order of the times they were seen at.
type series []seen

type seen struct{ at, value time.Duration }

func (s *series) add(at, value time.Duration) { *s = append(*s, seen{at, value}) }

// during returns the part from one time to before another.
func (s series) during(from, to time.Duration) series {
	after := func(at time.Duration) int {
		return sort.Search(len(s), func(i int) bool { return s[i].at >= at })
	}
	return s[after(from):after(to)]
}

// quantiles returns the values below which the fractions lie; zeros for none.
func (s series) quantiles(fractions ...float64) []time.Duration {
	found := make([]time.Duration, len(fractions))
	if len(s) == 0 {
		return found
	}
	values := make([]time.Duration, len(s))
	for i, v := range s {
		values[i] = v.value
	}
	slices.Sort(values)
	for i, f := range fractions {
		found[i] = values[min(int(f*float64(len(values))), len(values)-1)]
	}
	return found
}

func (s series) median() time.Duration { return s.quantiles(0.5)[0] }

// settles returns how long after from the median of each step is at most limit
// for good, up to to; that is the whole time if it never is.
func (s series) settles(from, to, step, limit time.Duration) time.Duration {
	for at := to - step; at >= from; at -= step {
		if s.during(at, at+step).median() > limit {
			return at + step - from
		}
	}
	return 0
}

// jain is Jain's fairness index: 1 for equal shares, 1/n for one that has all.
func jain(shares []float64) float64 {
	var sum, squares float64
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(shares)) * squares)
}

func total(shares []float64) (sum float64) {
	for _, x := range shares {
		sum += x
	}
	return sum
}
