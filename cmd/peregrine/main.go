package main

import (
	"errors"
	"fmt"
	"os"

	_ "github.com/peregrine-rpc/peregrine/transport/dpdk" // where it is built with the tag
	_ "github.com/peregrine-rpc/peregrine/transport/xdp"
)

func main() {
	root := newRoot()
	root.SetArgs(withPerfGRPC(os.Args[1:]))
	if err := root.ExecuteContext(interruptible()); err != nil {
		if !errors.As(err, new(otherError)) {
			fmt.Fprintln(os.Stderr, "peregrine:", err)
		}
		os.Exit(exitCode(err))
	}
}
