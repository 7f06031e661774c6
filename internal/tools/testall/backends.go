package main

import (
	"fmt"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const (
	module     = "github.com/peregrine-rpc/peregrine"
	transports = module + "/transport/"
	host       = runtime.GOOS + "/" + runtime.GOARCH
)

// backendRows says of each transport whether its tests ran on this host. A required one must have run. One with a step of
// its own has not if that was skipped. What the host refuses is not required of it.
func backendRows(tests *results, steps []row, required []string, refused func(string) error) []row {
	names := append(backendFolders(), required...)
	slices.Sort(names)
	var rows []row
	for _, name := range slices.Compact(names) {
		r := backendRow(tests, name)
		own := slices.IndexFunc(steps, func(s row) bool { return s.name == name && s.result == skipped })
		if own >= 0 && r.result == passed {
			r.result, r.reason = skipped, steps[own].reason
		}
		if r.result == skipped && slices.Contains(required, name) {
			if err := refused(name); err != nil {
				r.reason = err.Error()
			} else {
				r.result, r.reason = failed, "this host can run it, but: "+r.reason
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
func backendRow(tests *results, name string) row {
	ran, missed, broken := 0, "", false
	for _, id := range tests.order {
		t := tests.tests[id]
		switch {
		case id.pkg != transports+name:
		case t.result == failed:
			broken = true
		case id.name == "":
		case t.result == passed:
			ran++
		case t.result == skipped && missed == "" && !strings.Contains(id.name, "/"):
			missed = fmt.Sprintf("; skipped %s: %s", id.name, t.skipReason())
		}
	}
	row := row{name: "transport/" + name, result: passed}
	row.reason = fmt.Sprintf("%d tests passed%s", ran, missed)
	switch {
	case broken:
		row.result = failed
	case ran == 0 && missed == "":
		row.result, row.reason = skipped, "no test of it is built on "+host
	case missed != "":
		row.result = skipped
	}
	return row
}
