package main

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/peregrine-rpc/peregrine/internal/tools/steps"
)

const udp = transports + "udp"

func readEvents(t *testing.T, lines ...string) *results {
	t.Helper()
	r := newResults()
	if err := r.read(strings.NewReader(strings.Join(lines, "\n")), io.Discard); err != nil {
		t.Fatal(err)
	}
	return r
}

func line(action, name, output string) string {
	return `{"Action":"` + action + `","Package":"` + udp + `","Test":"` + name + `","Output":"` + output + `"}`
}

func TestATestSkippedInOneRunAndPassedInAnotherCountsAsPassed(t *testing.T) {
	t.Parallel()
	all := readEvents(t, line("pass", "TestAllocations", ""))
	all.merge(readEvents(t, line("skip", "TestAllocations", "")))
	if got := all.with(steps.Passed); len(got) != 1 {
		t.Errorf("passed: %v", got)
	}
	if got := all.with(steps.Skipped); len(got) != 0 {
		t.Errorf("skipped: %v", got)
	}
}

func TestATestFailedInAnyRunCountsAsFailed(t *testing.T) {
	t.Parallel()
	all := readEvents(t, line("fail", "TestEcho", ""))
	all.merge(readEvents(t, line("pass", "TestEcho", "")))
	if got := all.with(steps.Failed); !slices.Equal(got, []testID{{udp, "TestEcho"}}) {
		t.Errorf("failed: %v", got)
	}
}

func TestAPackageCountsAsFailedOnlyWhenNoTestOfItDid(t *testing.T) {
	t.Parallel()
	withTest := readEvents(t, line("fail", "TestEcho", ""), line("fail", "", ""))
	if got := withTest.with(steps.Failed); !slices.Equal(got, []testID{{udp, "TestEcho"}}) {
		t.Errorf("failed: %v", got)
	}
	alone := readEvents(t, line("pass", "TestEcho", ""), line("fail", "", ""))
	if got := alone.with(steps.Failed); !slices.Equal(got, []testID{{udp, ""}}) {
		t.Errorf("failed: %v", got)
	}
}

func TestOnlyFailedOutputIsShown(t *testing.T) {
	t.Parallel()
	r := readEvents(t,
		line("output", "TestGood", "good\\n"), line("pass", "TestGood", ""),
		line("output", "TestBad", "bad\\n"), line("fail", "TestBad", ""),
		line("output", "TestCut", "cut short\\n"))
	var log bytes.Buffer
	r.writeFailures(&log)
	if got := log.String(); got != "bad\ncut short\n" {
		t.Errorf("log: %q", got)
	}
}

func TestASkippedTestTellsItsReason(t *testing.T) {
	t.Parallel()
	r := readEvents(t,
		line("output", "TestGSO", "=== RUN   TestGSO\\n"),
		line("output", "TestGSO", "    gso_test.go:12: the kernel lacks UDP_SEGMENT\\n"),
		line("output", "TestGSO", "--- SKIP: TestGSO (0.00s)\\n"),
		line("skip", "TestGSO", ""))
	if got := r.tests[testID{udp, "TestGSO"}].skipReason(); got != "the kernel lacks UDP_SEGMENT" {
		t.Errorf("reason: %q", got)
	}
}

func TestABackendIsSkippedWithItsFirstSkippedTest(t *testing.T) {
	t.Parallel()
	subtestOnly := readEvents(t, line("pass", "TestEcho", ""), line("skip", "TestEcho/IPv6", ""))
	if row := backendRow(subtestOnly, "udp"); row.Result != steps.Passed {
		t.Errorf("a skipped subtest: %+v", row)
	}
	whole := readEvents(t, line("pass", "TestURL", ""), line("skip", "TestConformance", ""))
	if row := backendRow(whole, "udp"); row.Result != steps.Skipped || !strings.Contains(row.Reason, "TestConformance") {
		t.Errorf("a skipped test: %+v", row)
	}
	if row := backendRow(newResults(), "udp"); row.Result != steps.Skipped {
		t.Errorf("no test at all: %+v", row)
	}
}

func able(string) error { return nil }

func TestWhatTheHostRefusesIsNotRequired(t *testing.T) {
	t.Parallel()
	unable := func(string) error { return errors.New("the kernel gives none") }
	rows := backendRows(newResults(), nil, []string{"udp"}, unable)
	if len(rows) != 1 || rows[0].Result != steps.Skipped || rows[0].Reason != "the kernel gives none" {
		t.Errorf("rows: %+v", rows)
	}
}

func TestARequiredBackendMustRun(t *testing.T) {
	t.Parallel()
	rows := backendRows(newResults(), nil, []string{"udp"}, able)
	if len(rows) != 1 || rows[0].Result != steps.Failed {
		t.Errorf("rows: %+v", rows)
	}
}

func TestABackendIsSkippedWithItsStepThoughSomeOfItsTestsRan(t *testing.T) {
	t.Parallel()
	tests := readEvents(t, line("pass", "TestURL", ""))
	step := steps.Row{Name: "udp", Result: steps.Skipped, Reason: "no network"}
	rows := backendRows(tests, []steps.Row{step}, []string{"udp"}, able)
	if len(rows) != 1 || rows[0].Result != steps.Failed || !strings.Contains(rows[0].Reason, "no network") {
		t.Errorf("rows: %+v", rows)
	}
}
