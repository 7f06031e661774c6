package suite

import "github.com/peregrine-rpc/peregrine/bench/internal/stat"

// Bound is what a figure has to be. The zero one leaves it open.
type Bound struct {
	kind  kind
	Value float64
}

type kind int

const (
	open kind = iota
	least
	most
)

// AtLeast and AtMost make bounds.
func AtLeast(v float64) Bound { return Bound{least, v} }
func AtMost(v float64) Bound  { return Bound{most, v} }

// Sign is how the bound is written in front of its value; empty if it is open.
func (b Bound) Sign() string { return [...]string{open: "", least: "≥", most: "≤"}[b.kind] }

func (b Bound) holds(v float64) bool {
	switch b.kind {
	case least:
		return v >= b.Value
	case most:
		return v <= b.Value
	}
	return true
}

// Verdict is what came of a claim.
type Verdict struct {
	Claim
	// Series is of the figure, or of its ratios, under the claim's metric.
	Series  stat.Series
	Value   float64 // typical of the series
	Known   bool    // whether there is one
	Reached bool
}

func (c Claim) judge(rows []Row) Verdict {
	v := Verdict{Claim: c, Series: seriesOf(rows, c.Of)}
	switch {
	case c.Least:
		v.Series = v.Series.Least(c.Metric.Key)
	case c.To != "":
		v.Series = stat.Ratio(v.Series, seriesOf(rows, c.To), c.Metric.Key)
	}
	v.Value, v.Known = v.Series.Typical(c.Metric.Key)
	v.Reached = v.Known && c.Bound.holds(v.Value)
	return v
}

func seriesOf(rows []Row, name string) stat.Series {
	for _, row := range rows {
		if row.Name == name {
			return row.Series
		}
	}
	return nil
}

// Format writes one of the verdict's figures.
func (c Claim) Format(v float64) string {
	if c.To != "" || c.Least {
		return ratio(v)
	}
	return c.Metric.Format(v)
}
