package experiment

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// Report is what an experiment found.
type Report struct {
	// Name is the experiment's.
	Name string `json:"experiment"`
	// Runs are the figures: a slice of structs.
	Runs any `json:"runs"`
	// Targets are the claims that were put to the test.
	Targets []Target `json:"targets,omitempty"`
	Tables  []Table  `json:"-"`
	Charts  []Chart  `json:"-"`
}

// Table is figures in rows. Its name is that of its place in a document.
type Table struct {
	Name, Caption string
	measure.Table
}

// Target is one claim about one controller.
type Target struct {
	Claim      string  `json:"claim"`
	Controller string  `json:"cc"`
	Bound      float64 `json:"bound"`
	AtMost     bool    `json:"at_most"` // else at least
	Got        float64 `json:"got"`
	Reached    bool    `json:"reached"`
}

func atMost(claim, controller string, bound, got float64) Target {
	return Target{claim, controller, bound, true, got, got <= bound}
}

func atLeast(claim, controller string, bound, got float64) Target {
	return Target{claim, controller, bound, false, got, got >= bound}
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	tables := r.Tables
	if len(r.Targets) > 0 {
		tables = append(slices.Clone(tables), TargetTable(r))
	}
	for _, t := range tables {
		if len(t.Rows) == 0 {
			continue // interrupted
		}
		fmt.Fprintf(w, "%s\n\n", t.Caption)
		if err := t.Write(w); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return nil
}

// TargetTable has a row for each claim of the reports, and a column for each
// controller.
func TargetTable(reports ...*Report) Table {
	t := Table{Name: "targets", Caption: "Targets"}
	t.Header = []string{"claim", "target"}
	rows := map[string]int{}
	for _, r := range reports {
		for _, target := range r.Targets {
			column := slices.Index(t.Header, target.Controller)
			if column < 0 {
				column = len(t.Header)
				t.Header = append(t.Header, target.Controller)
			}
			row, ok := rows[target.Claim]
			if !ok {
				row = len(t.Rows)
				rows[target.Claim] = row
				bound := fmt.Sprintf("≥ %.3g", target.Bound)
				if target.AtMost {
					bound = fmt.Sprintf("≤ %.3g", target.Bound)
				}
				t.Rows = append(t.Rows, []string{target.Claim, bound})
			}
			for len(t.Rows[row]) <= column {
				t.Rows[row] = append(t.Rows[row], "")
			}
			t.Rows[row][column] = fmt.Sprintf("%.3f %s", target.Got, yes(target.Reached))
		}
	}
	for i := range t.Rows {
		for len(t.Rows[i]) < len(t.Header) {
			t.Rows[i] = append(t.Rows[i], "")
		}
	}
	return t
}

func yes(reached bool) string {
	if reached {
		return "yes"
	}
	return "NO"
}

// markdown writes the table for a document.
func (t *Table) markdown() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.Header)
	rule := slices.Repeat([]string{"---:"}, len(t.Header))
	rule[0] = "---"
	line(rule)
	for _, row := range t.Rows {
		line(row)
	}
	return b.String()
}

// micros is a duration in JSON, in microseconds.
func micros(d time.Duration) float64 { return float64(d) / 1e3 }

func gigabits(bits float64) string { return fmt.Sprintf("%.1f", bits/1e9) }

// rateName writes a link's rate as people say it: "25G".
func rateName(rate uint64) string { return fmt.Sprintf("%gG", float64(rate)/1e9) }
