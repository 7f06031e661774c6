// Command peregrine-grpc-perf measures generated stubs over Peregrine, or over gRPC's own
// HTTP/2, with the options of ghz:
//
//	peregrine-grpc-perf --serve udp://127.0.0.1:31850
//	peregrine-grpc-perf -c 50 -n 100000 127.0.0.1:31850
//
// The service is grpc.testing.BenchmarkService, that of gRPC's own benchmarks. An interrupt
// ends the measurement early: what was measured until then is printed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "peregrine-grpc-perf:", err)
		os.Exit(1)
	}
}

// run is the program; what it prints goes to out.
func run(ctx context.Context, args []string, out io.Writer) error {
	var l load
	flags := flag.NewFlagSet("peregrine-grpc-perf", flag.ContinueOnError)
	flags.SetOutput(out)
	url := flags.String("serve", "", "serve at this `URL`, such as udp://127.0.0.1:31850, or with --over grpc at an address")
	file := flags.String("json", "", "write the result to this `file`, with ghz's keys (-: standard output, and nothing else)")
	l.register(flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	}
	if *url != "" {
		if flags.NArg() > 0 {
			return fmt.Errorf("%q is too much: --serve takes no other address", flags.Arg(0))
		}
		return l.serve(ctx, *url, out)
	}
	if flags.NArg() != 1 {
		return errors.New("give one address, of a server that was started with --serve; --help says more")
	}
	if err := l.check(); err != nil {
		return err
	}
	people := out
	if *file == "-" {
		people = io.Discard
	}
	r, err := l.measure(ctx, flags.Arg(0), showsProgress(people))
	if err != nil {
		return err
	}
	r.print(people)
	if *file != "" {
		if err := r.writeJSON(*file, out); err != nil {
			return err
		}
	}
	if failed := r.failed(); failed > 0 {
		return fmt.Errorf("%d of %d calls failed: %s", failed, r.Count, strings.Join(r.reasons(), "; "))
	}
	return nil
}
