// Command dist builds what is handed out: for each processor a static program, a Debian package, a container image and a list of
// what is in them.
//
//	dist [-root dir] [-out dir]          build the current commit, into dir
//	dist [-root dir] -try                build, and try it: Debian's packages on fresh Debians, the image, the emulated program
//
// Built twice from a commit, everything is the same to the byte. To try it takes root, and Debian's archive.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/peregrine-rpc/peregrine/internal/tools/steps"
)

func main() {
	root := flag.String("root", ".", "the repository's top folder")
	out := flag.String("out", "dist", "the folder that is written, in the top folder")
	trying := flag.Bool("try", false, "try what was built")
	flag.Parse()
	if err := distribute(*root, *out, *trying); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func distribute(root, out string, trying bool) error {
	repository, err := filepath.Abs(root)
	if err == nil {
		err = os.Chdir(repository)
	}
	if err != nil {
		return err
	}
	if !trying {
		return build(os.Stdout, ".", out)
	}
	rows, err := steps.Run(os.Stdout, trials(out), nil, 2)
	if n := steps.Count(rows, steps.Failed); err == nil && n > 0 {
		err = fmt.Errorf("%d of %d failed", n, len(rows))
	}
	return err
}
