// Command testall runs every check of the repository that this host can run and says what it left out, and why.
//
//	testall [-root dir] [-require backends] [-together n] [step ...]
//
// Named steps run alone. It exits with 1 when a step or a test failed, or when a required backend was skipped.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/peregrine-rpc/peregrine/internal/tools/steps"
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
	rows, err := steps.Run(os.Stdout, allSteps(tests, required), flag.Args(), *together)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if len(tests.order) > 0 {
		rows = append(rows, backendRows(tests, rows, required, refused)...)
	}
	report(os.Stdout, rows, tests)
	if len(tests.with(steps.Failed)) > 0 || steps.Count(rows, steps.Failed) > 0 {
		os.Exit(1)
	}
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}
