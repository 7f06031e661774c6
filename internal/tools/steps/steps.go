// Package steps runs the checks of a repository beside each other, and says which passed, how long they took, and why others
// did not run.
package steps

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// A Step is one check.
type Step struct {
	Name string
	// Run writes what a reader needs to understand a failure, and returns a Skip when this host cannot run it. It may say
	// what it found.
	Run   func(log io.Writer) (found string, err error)
	First bool // nothing else runs before it has ended
}

// Skip is why this host cannot run a step.
type Skip string

func (e Skip) Error() string { return string(e) }

// Result is how a step, or a test, ended.
type Result string

// What a Result may be.
const (
	Passed  Result = "ok"
	Failed  Result = "failed"
	Skipped Result = "skipped"
)

// Row is a line of the closing table.
type Row struct {
	Name   string
	Result Result
	Took   time.Duration // zero when the row is not a step
	Reason string        // why not, or what was found
}

// Run runs the wanted steps, all of them if none is named, and so many at a time: while some wait, others have the
// processors. They begin in their order, and their rows have it. A failed step does not stop the others. Each is said to out
// as it ends, by one Write each, of any goroutine.
func Run(out io.Writer, all []Step, wanted []string, together int) ([]Row, error) {
	for _, name := range wanted {
		if !slices.ContainsFunc(all, func(s Step) bool { return s.Name == name }) {
			return nil, fmt.Errorf("no step %q; the steps are: %s", name, strings.Join(names(all), ", "))
		}
	}
	if len(wanted) > 0 {
		all = slices.DeleteFunc(all, func(s Step) bool { return !slices.Contains(wanted, s.Name) })
	}
	rows := make([]Row, len(all))
	free := make(chan struct{}, max(1, together))
	var running sync.WaitGroup
	for i, s := range all {
		free <- struct{}{}
		running.Go(func() {
			rows[i] = s.run(out)
			<-free
		})
		if s.First {
			running.Wait()
		}
	}
	running.Wait()
	return rows, nil
}

func names(all []Step) []string {
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	return names
}

func (s Step) run(out io.Writer) Row {
	start := time.Now()
	var log bytes.Buffer
	found, err := s.Run(&log)
	r := Row{Name: s.Name, Result: Passed, Reason: found, Took: time.Since(start)}

	var skip Skip
	switch {
	case errors.As(err, &skip):
		r.Result, r.Reason = Skipped, string(skip)
	case err != nil:
		r.Result, r.Reason = Failed, err.Error()
	}
	if r.Result != Failed {
		log.Reset()
	}
	// In one piece: others write as well.
	fmt.Fprintf(out, "%-20s %-8s %7s  %s\n%s", s.Name, r.Result, seconds(r.Took), r.Reason, &log)
	return r
}

// WriteTable writes the rows below each other.
func WriteTable(out io.Writer, rows []Row) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nstep\tresult\ttime\treason")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.Name, r.Result, seconds(r.Took), r.Reason)
	}
	table.Flush()
}

// Count is how many rows have a result.
func Count(rows []Row, want Result) int {
	n := 0
	for _, r := range rows {
		if r.Result == want {
			n++
		}
	}
	return n
}

func seconds(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
