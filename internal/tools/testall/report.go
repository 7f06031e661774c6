package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/peregrine-rpc/peregrine/internal/tools/steps"
)

// covered are the packages whose coverage the report shows.
var covered = []string{"wire", "cc", "core", "core/packet"}

func report(out io.Writer, rows []steps.Row, tests *results) {
	steps.WriteTable(out, rows)
	if len(tests.order) == 0 {
		return
	}

	if len(tests.coverage) > 0 {
		fmt.Fprint(out, "\ncoverage of statements by the package's own tests:")
		for _, name := range append(covered, "transport/dpdk") {
			fmt.Fprintf(out, "  %s %s", name, cmp.Or(tests.coverage[module+"/"+name], "none"))
		}
		fmt.Fprintln(out)
	}
	for _, id := range tests.with(steps.Skipped) {
		fmt.Fprintf(out, "skipped %s %s: %s\n", id.pkg, id.name, tests.tests[id].skipReason())
	}
	for _, id := range tests.with(steps.Failed) {
		fmt.Fprintf(out, "FAILED %s %s\n", id.pkg, id.name)
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n",
		len(tests.with(steps.Passed)), len(tests.with(steps.Failed)), len(tests.with(steps.Skipped)))
}
