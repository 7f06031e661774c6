package main

import (
	"fmt"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/peregrine-rpc/peregrine/internal/tools/steps"
)

const (
	module     = "github.com/peregrine-rpc/peregrine"
	transports = module + "/transport/"
	host       = runtime.GOOS + "/" + runtime.GOARCH
)

// backendRows says of each transport whether its tests ran on this host. A required one must have run. One with a step of
// its own has not if that was skipped. What the host refuses is not required of it.
func backendRows(tests *results, ran []steps.Row, required []string, refused func(string) error) []steps.Row {
	names := append(backendFolders(), required...)
	slices.Sort(names)
	var rows []steps.Row
	for _, name := range slices.Compact(names) {
		r := backendRow(tests, name)
		own := slices.IndexFunc(ran, func(s steps.Row) bool { return s.Name == name && s.Result == steps.Skipped })
		if own >= 0 && r.Result == steps.Passed {
			r.Result, r.Reason = steps.Skipped, ran[own].Reason
		}
		if r.Result == steps.Skipped && slices.Contains(required, name) {
			if err := refused(name); err != nil {
				r.Reason = err.Error()
			} else {
				r.Result, r.Reason = steps.Failed, "this host can run it, but: "+r.Reason
			}
		}
		rows = append(rows, r)
	}
	return rows
}

// refused says why this host cannot run a backend whatever is installed; nil if it can.
func refused(backend string) error {
	switch backend {
	case "iouring":
		return ioUringRefused()
	case "xdp":
		return xdpRefused()
	}
	return nil
}

// backendFolders names the folders below transport that hold Go files.
func backendFolders() []string {
	var names []string
	files, _ := filepath.Glob("transport/*/*.go") // errs only on a malformed pattern
	for _, f := range files {
		names = append(names, path.Base(path.Dir(filepath.ToSlash(f))))
	}
	return names
}

// backendRow counts a backend as skipped when any test of it was, subtests aside: those may need what a capable host
// still lacks, such as IPv6.
func backendRow(tests *results, name string) steps.Row {
	ran, missed, broken := 0, "", false
	for _, id := range tests.order {
		t := tests.tests[id]
		switch {
		case id.pkg != transports+name:
		case t.result == steps.Failed:
			broken = true
		case id.name == "":
		case t.result == steps.Passed:
			ran++
		case t.result == steps.Skipped && missed == "" && !strings.Contains(id.name, "/"):
			missed = fmt.Sprintf("; skipped %s: %s", id.name, t.skipReason())
		}
	}
	row := steps.Row{Name: "transport/" + name, Result: steps.Passed}
	row.Reason = fmt.Sprintf("%d tests passed%s", ran, missed)
	switch {
	case broken:
		row.Result = steps.Failed
	case ran == 0 && missed == "":
		row.Result, row.Reason = steps.Skipped, "no test of it is built on "+host
	case missed != "":
		row.Result = steps.Skipped
	}
	return row
}
