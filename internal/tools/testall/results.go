package main

import (
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/peregrine-rpc/peregrine/internal/tools/steps"
)

// results gathers what `go test -json` reports.
type results struct {
	mu       sync.Mutex // merge's: other methods are one goroutine's
	tests    map[testID]*test
	order    []testID
	coverage map[string]string // by package: "87.5%"
}

// testID names a test. An empty name stands for the package itself, which fails with any of its tests, and alone when
// it does not build, crashes or leaks a goroutine.
type testID struct{ pkg, name string }

type test struct {
	result steps.Result // empty until the test ends
	output strings.Builder
}

// event is one line of `go test -json`; see `go doc test2json` and `go help buildjson`.
type event struct{ Action, Package, Test, Output string }

func newResults() *results {
	return &results{tests: map[testID]*test{}, coverage: map[string]string{}}
}

// read takes one run's events until the end of in. What the compiler says goes to log at once.
func (r *results) read(in io.Reader, log io.Writer) error {
	for dec := json.NewDecoder(in); ; {
		var e event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if e.Action == "build-output" {
			io.WriteString(log, e.Output)
		} else if e.Package != "" {
			r.add(e)
		}
	}
}

var coverageLine = regexp.MustCompile(`^coverage: (\S+) of statements`)

func (r *results) add(e event) {
	t := r.get(testID{e.Package, e.Test})
	switch e.Action {
	case "output":
		t.output.WriteString(e.Output)
		if m := coverageLine.FindStringSubmatch(e.Output); m != nil && e.Test == "" {
			r.coverage[e.Package] = m[1]
		}
	case "pass":
		t.result = steps.Passed
	case "fail":
		t.result = steps.Failed
	case "skip":
		t.result = steps.Skipped
	}
}

func (r *results) get(id testID) *test {
	t := r.tests[id]
	if t == nil {
		t = &test{}
		r.tests[id] = t
		r.order = append(r.order, id)
	}
	return t
}

// merge adds another run. A test failed if it failed in any run, and was skipped only if no run ran it: an allocation
// test, say, skips under the race detector but not in the plain run.
func (r *results) merge(other *results) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rank := map[steps.Result]int{"": 0, steps.Skipped: 1, steps.Passed: 2, steps.Failed: 3}
	for _, id := range other.order {
		if t, o := r.get(id), other.tests[id]; rank[o.result] > rank[t.result] {
			r.tests[id] = o
		}
	}
	for pkg, percent := range other.coverage {
		r.coverage[pkg] = percent
	}
}

// with lists the tests that ended so, in the order they began. A package is listed if it failed though none of its
// tests did.
func (r *results) with(want steps.Result) []testID {
	failedTest := map[string]bool{}
	for id, t := range r.tests {
		if id.name != "" && t.result == steps.Failed {
			failedTest[id.pkg] = true
		}
	}
	var ids []testID
	for _, id := range r.order {
		if r.tests[id].result == want && (id.name != "" || want == steps.Failed && !failedTest[id.pkg]) {
			ids = append(ids, id)
		}
	}
	return ids
}

// writeFailures prints the output of what failed, and of what a crash cut short.
func (r *results) writeFailures(log io.Writer) {
	for _, id := range r.order {
		if t := r.tests[id]; t.result == steps.Failed || t.result == "" {
			io.WriteString(log, t.output.String())
		}
	}
}

var skipNoise = regexp.MustCompile(`(?m)^\s*(=== .*|--- SKIP.*|\S+\.go:\d+: )`)

// skipReason is what a skipped test said when it gave up.
func (t *test) skipReason() string {
	return strings.Join(strings.Fields(skipNoise.ReplaceAllString(t.output.String(), "")), " ")
}
