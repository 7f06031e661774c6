package main

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/raw"
	"github.com/peregrine-rpc/peregrine/flight"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
	"github.com/peregrine-rpc/peregrine/internal/secureflag"
	"github.com/peregrine-rpc/peregrine/transport"
)

// endpointFlags are those of every command that opens an endpoint.
type endpointFlags struct {
	poll       peregrine.Poll
	cpu        int
	fault      string
	cc         string
	patience   time.Duration
	noCoalesce bool
	noOffload  bool
	flight     string
	secure     secureflag.Flags
}

// unpinned is the value of --cpu that leaves threads where the system puts them.
const unpinned = -1

// What the engine takes as keep_alive and as connect_timeout.
const leastPatience, mostPatience = 10 * time.Millisecond, time.Hour

func (f *endpointFlags) register(flags *pflag.FlagSet) {
	flags.TextVar(&f.poll, "poll", peregrine.Adaptive, "what an idle loop does: `busy` (own the core), adaptive (spin a little, then block) or block")
	flags.IntVar(&f.cpu, "cpu", unpinned, "CPU to pin the loop's thread to, from 0 (-1: none)")
	flags.BoolVar(&f.noCoalesce, "no-coalesce", false, "send every message in a datagram of its own")
	flags.BoolVar(&f.noOffload, "no-offload", false, "do without segmentation offload (adds segment=false&gro=false to the URL)")
	flags.DurationVar(&f.patience, "patience", 0, "how long a peer may be silent, also when it is first called (default: keep_alive and connect_timeout of the engine)")
	flags.StringVar(&f.cc, "cc", "", "congestion controller, auto unless told: a name, or as in '{name: swift, target_delay: 50us}'; there are "+strings.Join(cc.Names(), ", "))
	flags.StringVar(&f.flight, "flight", "", "save what happened in this `folder` when a call fails, or at SIGUSR1; explain reads it")
	f.secure.Register(flags)
	flags.StringVar(&f.fault, "fault", "", "make the network bad, both ways: loss=0.01,dup=0.01,reorder=0.05,delay=1ms,corrupt=0.001,seed=7")
}

// options translates the flags for the engine.
func (f *endpointFlags) options() ([]peregrine.Option, error) {
	opts := append(f.secure.Options(), peregrine.WithPoll(f.poll))
	if f.cpu != unpinned {
		if err := f.checkCPU(); err != nil {
			return nil, err
		}
		opts = append(opts, peregrine.WithCPU(f.cpu))
	}
	if f.noCoalesce {
		opts = append(opts, peregrine.WithoutCoalescing())
	}
	if f.cc != "" {
		opts = append(opts, peregrine.WithCongestionControl(f.cc))
	}
	if f.patience != 0 {
		if err := within("patience", f.patience, leastPatience, mostPatience); err != nil {
			return nil, err
		}
		opts = append(opts, peregrine.WithConfig(peregrine.Config{KeepAlive: f.patience, ConnectTimeout: f.patience}))
	}
	if f.flight != "" {
		opts = append(opts, flight.Keep(f.flight, complain))
	}
	if f.fault != "" {
		if _, err := transport.ParseFaults(f.fault); err != nil {
			return nil, fmt.Errorf("--fault: %w", err)
		}
		opts = append(opts, peregrine.WithFault(f.fault))
	}
	return opts, nil
}

// checkCPU tries the CPU: to a loop it is no error if its thread stays where it
// is, but a measurement would not be what its user asked for.
func (f *endpointFlags) checkCPU() error {
	undo, err := affinity.Pin(f.cpu)
	if err != nil {
		return fmt.Errorf("--cpu: %w", err)
	}
	undo()
	return nil
}

// spin translates --poll for raw loops.
func (f *endpointFlags) spin() time.Duration {
	switch f.poll {
	case peregrine.Busy:
		return raw.Forever
	case peregrine.Block:
		return 0
	}
	return 200 * time.Microsecond // as long as the engine's loops at most
}

// openRaw opens one queue of a URL, with the flags' faults.
func (f *endpointFlags) openRaw(rawURL string) (transport.Transport, error) {
	if len(f.secure.Options()) > 0 {
		return nil, errors.New("--tls-... and --psk have no meaning with --raw: raw datagrams have no connections")
	}
	if f.cc != "" {
		return nil, errors.New("--cc has no meaning with --raw: raw datagrams know no congestion")
	}
	if f.noCoalesce {
		return nil, errors.New("--no-coalesce has no meaning with --raw: raw datagrams are never coalesced")
	}
	tr, err := transport.Open(f.url(rawURL))
	if err != nil || f.fault == "" {
		return tr, err
	}
	faults, err := transport.ParseFaults(f.fault)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--fault: %w", err), tr.Close())
	}
	return transport.NewFault(tr, faults), nil
}

// url adds what --no-offload stands for.
func (f *endpointFlags) url(rawURL string) string {
	if !f.noOffload {
		return rawURL
	}
	separator := "?"
	if strings.Contains(rawURL, "?") {
		separator = "&"
	}
	return rawURL + separator + url.Values{"segment": {"false"}, "gro": {"false"}}.Encode()
}

// byteSize is a flag such as 32, 64KiB or 8MiB.
type byteSize int

var units = []struct {
	suffix string
	bytes  int
}{{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"b", 1}, {"", 1}}

// Set implements pflag.Value.
func (b *byteSize) Set(text string) error {
	for _, u := range units {
		number, ok := strings.CutSuffix(strings.ToLower(strings.ReplaceAll(text, " ", "")), u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n > math.MaxInt/u.bytes {
			return fmt.Errorf("%q is no size: write bytes, or a number with KiB, MiB or GiB", text)
		}
		*b = byteSize(n * u.bytes)
		return nil
	}
	return nil
}

// String implements pflag.Value.
func (b *byteSize) String() string { return strconv.Itoa(int(*b)) }

// Type implements pflag.Value.
func (b *byteSize) Type() string { return "bytes" }
