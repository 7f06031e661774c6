// Command testall runs every check of the repository that this host can run and says what it left out, and why.
//
//	testall [-root dir] [-require backends] [-together n] [step ...]
//
// Named steps run alone. It exits with 1 when a step or a test failed, or when a required backend was skipped.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	root := flag.String("root", ".", "the repository's top folder")
	require := flag.String("require", "", "backends that must run on this host, separated by commas")
	together := flag.Int("together", 3, "how many steps run at a time")
	flag.Parse()

	if err := os.Chdir(*root); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	underWay.endAllOnSignal()
	tests, required := newResults(), splitList(*require)
	rows, err := runSteps(allSteps(tests, required), flag.Args(), *together)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if len(tests.order) > 0 {
		rows = append(rows, backendRows(tests, rows, required, refused)...)
	}
	report(os.Stdout, rows, tests)
	if len(tests.with(failed)) > 0 || slices.ContainsFunc(rows, func(r row) bool { return r.result == failed }) {
		os.Exit(1)
	}
}

// runSteps runs the wanted steps, all of them if none is named, and so many at a time: while some wait for a kernel, others
// have the processors. They begin in their order, and their rows have it. A failed step does not stop the others.
func runSteps(steps []step, wanted []string, together int) ([]row, error) {
	for _, name := range wanted {
		if !slices.ContainsFunc(steps, func(s step) bool { return s.name == name }) {
			return nil, fmt.Errorf("no step %q; the steps are: %s", name, strings.Join(stepNames(steps), ", "))
		}
	}
	if len(wanted) > 0 {
		steps = slices.DeleteFunc(steps, func(s step) bool { return !slices.Contains(wanted, s.name) })
	}
	rows := make([]row, len(steps))
	free := make(chan struct{}, max(1, together))
	var all sync.WaitGroup
	for i, s := range steps {
		free <- struct{}{}
		all.Go(func() {
			rows[i] = runStep(s)
			<-free
		})
		if s.first {
			all.Wait()
		}
	}
	all.Wait()
	return rows, nil
}

func runStep(s step) row {
	start := time.Now()
	var log bytes.Buffer
	err := s.run(&log)
	r := row{name: s.name, result: passed, took: time.Since(start)}

	var skip skipError
	switch {
	case errors.As(err, &skip):
		r.result, r.reason = skipped, string(skip)
	case err != nil:
		r.result, r.reason = failed, err.Error()
	}
	if r.result != failed {
		log.Reset()
	}
	// In one piece: others write as well.
	fmt.Printf("%-20s %-8s %7s  %s\n%s", s.name, r.result, seconds(r.took), r.reason, &log)
	return r
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}
