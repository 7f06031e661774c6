package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/peregrine-rpc/peregrine/bench/internal/stat"
	"github.com/peregrine-rpc/peregrine/bench/internal/suite"
)

// Setting says where, when and how everything was measured.
type Setting struct {
	Title    string
	Command  string // that wrote the document
	Machine  Machine
	Date     time.Time
	Revision string // of the source; empty if unknown
	Runs     int
	Duration time.Duration // of one run
	Versions []string      // of what is compared with
	// Common are the parts of commands that the groups leave out.
	Common []string
	// Notes are what else a reader has to know, by paragraph.
	Notes []string
}

// Section is a measured group under its number.
type Section struct {
	Number int
	suite.Result
}

// Write writes the document.
func Write(w io.Writer, s Setting, sections []Section) error {
	var d document
	d.heading(s)
	d.summary(sections)
	for _, section := range sections {
		d.section(section)
	}
	_, err := io.WriteString(w, d.String())
	return err
}

type document struct{ strings.Builder }

func (d *document) line(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

func (d *document) heading(s Setting) {
	d.line("# %s\n", s.Title)
	d.line("Written by `%s`, losses as plainly as wins.\n", s.Command)
	d.line("- machine: %s", s.Machine)
	if len(s.Versions) > 0 {
		d.line("- versions: %s", strings.Join(s.Versions, ", "))
	}
	if s.Revision != "" {
		d.line("- revision: %s", s.Revision)
	}
	d.line("- date: %s", s.Date.UTC().Format("2006-01-02 15:04 MST"))
	d.line("- method: each case runs %s for %v, with a fresh server; the cases of a group take turns, every second time backwards; figures are medians", times(s.Runs), s.Duration)
	for _, common := range s.Common {
		d.line("- %s", common)
	}
	d.line(`
Server and client are two processes on one machine, and a cache line's round trip between their CPUs is measured before
and after each run: *near* is below 250 ns, *far* above, *mixed* a change in between. On virtual machines it flips within
seconds, and figures of two CPUs with it. Ratios divide runs of the same round, and are mixed where these were not alike.
Medians leave what is mixed out; where there is nothing else, *(mixed)* says so.
`)
	for _, note := range s.Notes {
		d.line("%s\n", note)
	}
}

func (d *document) summary(sections []Section) {
	d.line("## Targets\n")
	t := table{head: []string{"#", "claim", "target", "result", "reached"}}
	for _, s := range sections {
		for _, v := range s.Verdicts {
			if v.Bound.Sign() != "" {
				t.add(fmt.Sprint(s.Number), v.Text, target(v), result(v), reached(v))
			}
		}
	}
	d.table(t)
}

func (d *document) section(s Section) {
	d.line("## %d. %s\n", s.Number, s.Title)
	if s.About != "" {
		d.line("%s\n", s.About)
	}
	d.table(figures(s))
	if len(s.Verdicts) > 0 {
		t := table{head: []string{"claim", "target", "result", "near", "far", "reached"}}
		for _, v := range s.Verdicts {
			t.add(v.Text, target(v), result(v), at(v, stat.Near), at(v, stat.Far), reached(v))
		}
		d.table(t)
	}
	d.line("Commands:\n")
	for _, row := range s.Rows {
		d.line("- %s: `%s`", row.Name, strings.Join(row.Commands(), "`; `"))
	}
	d.line("")
	for _, row := range s.Rows {
		if n := len(row.Failures); n > 0 {
			d.line("**%s failed %s**: %s\n", row.Name, times(n), oneLine(row.Failures[0].Error()))
		}
	}
}

// figures is a group's table: the main figure at each speed, the others once.
func figures(s Section) table {
	main := s.Main.Name
	t := table{head: []string{"case", "runs", main, "near", "far"}}
	for _, m := range s.Others {
		t.head = append(t.head, m.Name)
	}
	for _, row := range s.Rows {
		cells := []string{
			row.Name, runs(row),
			typical(row.Series, s.Main),
			median(row.Series, s.Main, stat.Near),
			median(row.Series, s.Main, stat.Far),
		}
		for _, m := range s.Others {
			cells = append(cells, typical(row.Series, m))
		}
		t.add(cells...)
	}
	return t
}

const unknown = "–"

func typical(s stat.Series, m suite.Metric) string {
	if v, ok := s.Typical(m.Key); ok {
		return m.Format(v)
	}
	return unknown
}

func median(s stat.Series, m suite.Metric, label stat.Label) string {
	if v, ok := s.Median(m.Key, label); ok {
		return m.Format(v)
	}
	return unknown
}

func at(v suite.Verdict, label stat.Label) string {
	if value, ok := v.Series.Median(v.Metric.Key, label); ok {
		return v.Format(value)
	}
	return unknown
}

func target(v suite.Verdict) string {
	if v.Bound.Sign() == "" {
		return unknown
	}
	return v.Bound.Sign() + " " + v.Format(v.Bound.Value)
}

func result(v suite.Verdict) string {
	if !v.Known {
		return "not measured"
	}
	text := v.Format(v.Value)
	if v.Series.Unlike() {
		text += " (mixed)"
	}
	return text
}

func reached(v suite.Verdict) string {
	switch {
	case v.Bound.Sign() == "" || !v.Known:
		return unknown
	case v.Reached:
		return "yes"
	}
	return "**no**"
}

// runs tells how many there were at each speed.
func runs(row suite.Row) string {
	var parts []string
	for _, label := range []stat.Label{stat.None, stat.Near, stat.Far, stat.Mixed} {
		if n := row.Series.Count(label); n > 0 {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%d %s", n, label)))
		}
	}
	if n := len(row.Failures); n > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", n))
	}
	return strings.Join(parts, ", ")
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
