// Command dpdkversions tries transport/dpdk with the versions of DPDK that Debian has, and the steps of its documents on fresh
// machines, each in a root of its own.
//
//	dpdkversions [-root dir] [-together n] [step ...]
//
// It needs root, and what lacks it says and skips, or installs where CI is set; where Debian's archive is not in reach it
// skips, too. Roots and packages are kept in the user's cache folder. It exits with 1 if a step failed.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/peregrine-rpc/peregrine/internal/tools/steps"
)

// all are the steps, the longest first.
var all = []steps.Step{
	{Name: "debian-13", Run: func(log io.Writer) (string, error) { return documents(log, "trixie", everyTest) }},
	{Name: "debian-12", Run: func(log io.Writer) (string, error) { return documents(log, "bookworm") }},
	{Name: "newest", Run: newest},
	{Name: "arm64", Run: arm64},
}

func main() {
	root := flag.String("root", ".", "the repository's top folder")
	together := flag.Int("together", 2, "how many steps run at a time")
	flag.Parse()
	repository, err := filepath.Abs(*root)
	if err == nil {
		err = os.Chdir(repository)
	}
	var rows []steps.Row
	if err == nil {
		rows, err = steps.Run(os.Stdout, all, flag.Args(), *together)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if steps.Count(rows, steps.Failed) > 0 {
		os.Exit(1)
	}
}
