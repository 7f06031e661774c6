package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/peregrine-rpc/peregrine/bench/internal/asavie"
	"github.com/peregrine-rpc/peregrine/bench/internal/crowd"
	"github.com/peregrine-rpc/peregrine/bench/internal/flood"
	"github.com/peregrine-rpc/peregrine/bench/internal/grpcecho"
	"github.com/peregrine-rpc/peregrine/bench/internal/hugepages"
	"github.com/peregrine-rpc/peregrine/bench/internal/idle"
	"github.com/peregrine-rpc/peregrine/bench/internal/quicecho"
	"github.com/peregrine-rpc/peregrine/bench/internal/report"
	"github.com/peregrine-rpc/peregrine/bench/internal/stubs"
	"github.com/peregrine-rpc/peregrine/bench/internal/suite"
	"github.com/peregrine-rpc/peregrine/bench/internal/wire"
)

// sides are the programs that this one starts itself as.
var sides = map[string]func(args []string) error{
	"grpc-serve":  grpcecho.Serve,
	"grpc-perf":   grpcecho.Perf,
	"stubs-serve": stubs.Serve,
	"stubs-perf":  stubs.Perf,
	"quic-serve":  quicecho.Serve,
	"quic-perf":   quicecho.Perf,
	"flood":       flood.Send,
	"idle-serve":  idle.Serve,
	"idle-dial":   idle.Dial,
	"burn":        crowd.Burn,
	"confine":     crowd.Confine,

	"enter":        wire.Enter,
	"asavie-serve": asavie.Serve,
	"asavie-perf":  asavie.Perf,
}

func main() {
	err := func() error {
		if len(os.Args) > 1 {
			if side, ok := sides[os.Args[1]]; ok {
				return side(os.Args[2:])
			}
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return bench(ctx, os.Args[1:])
	}()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line's.
type options struct {
	root     string
	runs     int
	duration time.Duration
	quick    bool
	dpdk     bool
	xdp      bool
	relay    bool
	crowded  bool
	iouring  bool
	stubs    bool
	tls      bool
	only     []int
	out      string
}

func parse(args []string) (options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.root, "root", "..", "folder of the main module")
	flags.IntVar(&o.runs, "runs", 5, "runs of each case")
	flags.DurationVar(&o.duration, "duration", 3*time.Second, "measured time of a run")
	flags.BoolVar(&o.dpdk, "dpdk", false, "measure the DPDK backend instead of sockets")
	flags.BoolVar(&o.xdp, "xdp", false, "measure the AF_XDP backend over a veth pair instead")
	flags.BoolVar(&o.relay, "relay", false, "measure what passes through a relay instead")
	flags.BoolVar(&o.crowded, "crowded", false, "measure on a crowded host instead")
	flags.BoolVar(&o.iouring, "iouring", false, "measure the io_uring backend beside plain UDP instead")
	flags.BoolVar(&o.stubs, "grpc", false, "measure generated stubs over gRPC-Go and Peregrine instead")
	flags.BoolVar(&o.tls, "tls", false, "measure sealed connections beside plain ones, gRPC-Go with TLS, and quic-go instead")
	flags.BoolVar(&o.quick, "quick", false, "one run of 0.5 s each: to see that all works")
	flags.StringVar(&only, "only", "", "groups to measure, such as 1,3 (default: all)")
	flags.StringVar(&o.out, "out", "", "file to write the document to (default: standard output)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.quick {
		o.runs, o.duration = 1, 500*time.Millisecond
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is no flag: see -help", flags.Arg(0))
	case count(o.dpdk, o.crowded, o.iouring, o.xdp, o.relay, o.stubs, o.tls) > 1:
		return o, errors.New("-dpdk, -crowded, -iouring, -xdp, -relay, -grpc and -tls are documents of their own: give one")
	case o.runs < 1 || o.duration <= 0:
		return o, errors.New("-runs is at least 1, -duration more than 0")
	}
	for _, text := range strings.FieldsFunc(only, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(text)
		if err != nil {
			return o, fmt.Errorf("-only is a list of numbers such as 1,3, not %q", only)
		}
		o.only = append(o.only, n)
	}
	return o, nil
}

func count(chosen ...bool) (n int) {
	for _, c := range chosen {
		if c {
			n++
		}
	}
	return n
}

// bench measures the groups and writes the document, also if some runs failed.
func bench(ctx context.Context, args []string) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	// Not after a quarter of an hour.
	if _, err := os.Stat(filepath.Dir(o.out)); err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	doc := sockets
	var noQuota error
	switch {
	case o.dpdk:
		doc = overDPDK
	case o.stubs:
		doc = overStubs
	case o.tls:
		doc = overTLS
	case o.iouring:
		doc = overIOUring
	case o.xdp:
		w, refused := wire.New()
		if refused != nil {
			return refused
		}
		defer func() { err = errors.Join(err, w.Close()) }()
		doc = overXDP(w)
	case o.relay:
		street, refused := wire.NewStreet()
		if refused != nil {
			return refused
		}
		defer func() { err = errors.Join(err, street.Close()) }()
		doc = overRelay(street)
	case o.crowded:
		quota, remove, refused := crowd.Quota(0.5)
		if noQuota = refused; refused == nil {
			defer func() { err = errors.Join(err, remove()) }()
		}
		doc = crowded(quota)
	}
	p, err := build(ctx, o.root, doc.tag)
	if err != nil {
		return err
	}
	defer p.remove()
	if o.tls {
		if err := p.buildHandshakes(ctx, o.root); err != nil {
			return err
		}
	}
	if o.iouring {
		p.uringEcho = buildUringEcho(ctx, o.root, p.dir)
	}
	plan := newPlan(p, o)
	groups := doc.groups(plan)
	for _, n := range o.only {
		if n < 1 || n > len(groups) {
			return fmt.Errorf("-only: there is no group %d: they are 1 to %d", n, len(groups))
		}
	}
	setting := doc.setting(plan)
	if o.dpdk {
		// Without them it can measure all the same.
		restore, refused := hugepages.Reserve(pages)
		if refused == nil {
			defer func() { err = errors.Join(err, restore()) }()
		}
		setting.Common = append(setting.Common, aboutPages(refused))
	}

	if noQuota != nil {
		setting.Notes = append(setting.Notes, fmt.Sprintf("No figures under a quota: %v.", noQuota))
	}

	var sections []report.Section
	failed := 0
	for i, g := range groups {
		number := i + 1
		if len(o.only) > 0 && !slices.Contains(o.only, number) {
			continue
		}
		result, err := g.Measure(ctx, o.runs, func(round int, c suite.Case) {
			fmt.Fprintf(os.Stderr, "%d. %s: run %d of %d: %s\n", number, g.Title, round+1, o.runs, c.Name)
		})
		if err != nil {
			return err
		}
		failed += result.Failures()
		sections = append(sections, report.Section{Number: number, Result: result})
	}
	setting.Machine, setting.Date, setting.Revision = report.ThisMachine(), time.Now(), revision(ctx, o.root)
	setting.Runs, setting.Duration = o.runs, o.duration
	err = write(o.out, setting, sections)
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d runs failed: the document says which and why", failed)
	}
	return err
}

// write writes to a file, or to standard output if path is empty.
func write(path string, s report.Setting, sections []report.Section) (err error) {
	var out io.Writer = os.Stdout
	if path != "" {
		file, err := os.Create(path)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = file
	}
	return report.Write(out, s, sections)
}

// revision names the source, where git knows it.
func revision(ctx context.Context, root string) string {
	text, err := exec.CommandContext(ctx, "git", "-C", root, "describe", "--always", "--dirty").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
