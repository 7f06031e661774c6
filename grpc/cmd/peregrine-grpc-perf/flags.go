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
	both := func(long, short, usage string, add func(name, usage string)) {
		add(long, usage+"; -"+short+" is the same")
		add(short, "short for --"+long)
	}
	flags.StringVar(&l.over, "over", "peregrine", "peregrine, or grpc for gRPC's own HTTP/2")
	flags.StringVar(&l.call, "call", "UnaryCall", "`method`: "+strings.Join(methods, ", "))
	flags.IntVar(&l.size, "size", 32, "bytes of a payload")
	both("concurrency", "c", "goroutines that call, or streams", func(name, usage string) { flags.IntVar(&l.concurrency, name, 50, usage) })
	both("total", "n", "calls in all, or messages of streams", func(name, usage string) { flags.IntVar(&l.total, name, 200, usage) })
	both("duration", "z", "how long to call, in place of --total", func(name, usage string) { flags.DurationVar(&l.duration, name, 0, usage) })
	both("rps", "r", "calls per second at most; 0: as many as there can be", func(name, usage string) { flags.IntVar(&l.rps, name, 0, usage) })
	both("timeout", "t", "how long a unary call may take", func(name, usage string) { flags.DurationVar(&l.timeout, name, 20*time.Second, usage) })
	both("metadata", "m", `metadata of each call in JSON, such as '{"tenant":"a"}'`, func(name, usage string) { flags.StringVar(&l.metadata, name, "", usage) })
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
