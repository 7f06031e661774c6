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
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/raw"
	"github.com/peregrine-rpc/peregrine/transport"
)

// endpointFlags are those of every command that opens an endpoint.
type endpointFlags struct {
	poll       string
	cpu        int
	fault      string
	noCoalesce bool
	noOffload  bool
}

// unpinned is the value of --cpu that leaves threads where the system puts them.
const unpinned = -1

func (f *endpointFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.poll, "poll", "adaptive", "what to do when idle: busy (own the core), adaptive (spin a little, then block) or block")
	flags.IntVar(&f.cpu, "cpu", unpinned, "CPU to pin the loop's thread to, from 0 (-1: none)")
	flags.BoolVar(&f.noCoalesce, "no-coalesce", false, "send every message in a datagram of its own")
	flags.BoolVar(&f.noOffload, "no-offload", false, "do without segmentation offload (adds segment=false&gro=false to the URL)")
	f.registerFault(flags)
}

func (f *endpointFlags) registerFault(flags *pflag.FlagSet) {
	flags.StringVar(&f.fault, "fault", "", "make the network bad, both ways: loss=0.01,dup=0.01,reorder=0.05,delay=1ms,corrupt=0.001,seed=7")
}

// options translates the flags for the engine.
func (f *endpointFlags) options() ([]peregrine.Option, error) {
	var opts []peregrine.Option
	switch f.poll {
	case "busy":
		opts = append(opts, peregrine.WithPoll(peregrine.Busy))
	case "adaptive":
		opts = append(opts, peregrine.WithPoll(peregrine.Adaptive))
	case "block":
		opts = append(opts, peregrine.WithPoll(peregrine.Block))
	default:
		return nil, f.badPoll()
	}
	if f.cpu != unpinned {
		opts = append(opts, peregrine.WithCPU(f.cpu))
	}
	if f.noCoalesce {
		opts = append(opts, peregrine.WithoutCoalescing())
	}
	if f.fault != "" {
		if _, err := transport.ParseFaults(f.fault); err != nil {
			return nil, fmt.Errorf("--fault: %w", err)
		}
		opts = append(opts, peregrine.WithFault(f.fault))
	}
	return opts, nil
}

func (f *endpointFlags) badPoll() error {
	return fmt.Errorf("--poll is busy, adaptive or block, not %q", f.poll)
}

// spin translates --poll for raw loops.
func (f *endpointFlags) spin() (time.Duration, error) {
	const adaptive = 50 * time.Microsecond
	switch f.poll {
	case "busy":
		return raw.Forever, nil
	case "adaptive":
		return adaptive, nil
	case "block":
		return 0, nil
	}
	return 0, f.badPoll()
}

// openRaw opens one queue of a URL, with the flags' faults.
func (f *endpointFlags) openRaw(rawURL string) (transport.Transport, error) {
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
