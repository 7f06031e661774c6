package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// row is a line of the closing table.
type row struct {
	name   string
	result result
	took   time.Duration // zero when the row is not a step
	reason string
}

// covered are the packages whose coverage the report shows.
var covered = []string{"wire", "cc", "core", "core/packet"}

func report(out io.Writer, rows []row, tests *results) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nstep\tresult\ttime\treason")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.name, r.result, seconds(r.took), r.reason)
	}
	table.Flush()
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
	for _, id := range tests.with(skipped) {
		fmt.Fprintf(out, "skipped %s %s: %s\n", id.pkg, id.name, tests.tests[id].skipReason())
	}
	for _, id := range tests.with(failed) {
		fmt.Fprintf(out, "FAILED %s %s\n", id.pkg, id.name)
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n",
		len(tests.with(passed)), len(tests.with(failed)), len(tests.with(skipped)))
}

func seconds(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
