package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/peregrine-rpc/peregrine/internal/secureflag"
)

// load is what is measured, and how.
type load struct {
	over        string
	call        string
	size        int // bytes
	concurrency int
	connections int
	total       int
	duration    time.Duration // 0: total says when it ends
	rps         int           // 0: as many as there can be
	timeout     time.Duration
	metadata    string // JSON
	secure      secureflag.Flags
}

// register adds the flags, which have ghz's names, long and short.
func (l *load) register(flags *flag.FlagSet) {
	both := func(long, short string) string { return long + "; -" + short + " is the same" }
	flags.StringVar(&l.over, "over", "peregrine", "peregrine, or grpc for gRPC's own HTTP/2")
	flags.StringVar(&l.call, "call", "UnaryCall", "`method`: "+strings.Join(methods, ", "))
	flags.IntVar(&l.size, "size", 32, "bytes of a payload")
	for _, name := range []string{"concurrency", "c"} {
		flags.IntVar(&l.concurrency, name, 50, both("goroutines that call, or streams", "c"))
	}
	for _, name := range []string{"total", "n"} {
		flags.IntVar(&l.total, name, 200, both("calls in all, or messages of streams", "n"))
	}
	for _, name := range []string{"duration", "z"} {
		flags.DurationVar(&l.duration, name, 0, both("how long to call, in place of --total", "z"))
	}
	for _, name := range []string{"rps", "r"} {
		flags.IntVar(&l.rps, name, 0, both("calls per second at most; 0: as many as there can be", "r"))
	}
	for _, name := range []string{"timeout", "t"} {
		flags.DurationVar(&l.timeout, name, 20*time.Second, both("how long a unary call may take", "t"))
	}
	for _, name := range []string{"metadata", "m"} {
		flags.StringVar(&l.metadata, name, "", both(`metadata of each call in JSON, such as '{"tenant":"a"}'`, "m"))
	}
	flags.IntVar(&l.connections, "connections", 1, "connections that the calls are spread over")
	l.secure.Register(flags)
	l.secure.RegisterServer(flags)
}

func (l *load) check() error {
	least := func(name string, value, least int) error {
		if value < least {
			return fmt.Errorf("--%s is at least %d, not %d", name, least, value)
		}
		return nil
	}
	if !slices.Contains(methods, l.call) {
		return fmt.Errorf("--call is one of %s, not %q", strings.Join(methods, ", "), l.call)
	}
	if _, err := l.pairs(); err != nil {
		return err
	}
	return errors.Join(
		least("size", l.size, 0), least("concurrency", l.concurrency, 1), least("total", l.total, 1), least("rps", l.rps, 0),
		least("connections", l.connections, 1), least("duration", int(l.duration), 0), least("timeout", int(l.timeout), 1),
	)
}

// pairs are the metadata.
func (l *load) pairs() (pairs []string, err error) {
	if l.metadata == "" {
		return nil, nil
	}
	var md map[string]string
	if err := json.Unmarshal([]byte(l.metadata), &md); err != nil {
		return nil, fmt.Errorf(`--metadata is JSON such as {"tenant":"a"}: %w`, err)
	}
	for key, value := range md {
		pairs = append(pairs, key, value)
	}
	return pairs, nil
}
