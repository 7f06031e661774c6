package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/load"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/service"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
)

// grace is how long the last calls may take. The engine ends calls to a dead
// server sooner.
const grace = 30 * time.Second

// A rate is measured with one latency in so many, so that reading the clock is
// not what is measured.
const rateSample = 16

type perfCommand struct {
	endpointFlags
	transport        string
	mode             string
	size             byteSize
	window, sessions int
	duration, warmup time.Duration
	call, raw        bool
	plot             string // path

	results
	target target
}

func newPerf() *cobra.Command {
	var p perfCommand
	cmd := &cobra.Command{
		Use:   "perf ADDR",
		Short: "Measure rate, latency or throughput against a server",
		Long: `Perf keeps calls outstanding against ` + "`peregrine serve`" + `, checks every reply, and
prints rate, latency percentiles, goodput, CPU time and allocations per call.

Modes and what they choose unless told:
  rate      echo calls of 32 bytes, 64 outstanding
  latency   echo calls of 32 bytes, 1 outstanding, every latency recorded
  upload    calls of 8 MiB with small replies, 4 outstanding
  download  calls with replies of 8 MiB, 4 outstanding

The client's own program may be of two forms: continuations, where a completed
call submits the next on the engine's loop, or with --call as many goroutines as
--window says, each blocking in Call.

With --raw the same datagrams go without the engine, against
` + "`peregrine serve --raw`" + `: what the engine costs is the difference. Raw upload
sends one way as fast as the receiver's buffer allows.

Figures of two CPUs depend on how long a cache line takes between them. It is
measured before and after, and called near below 250 ns and far above; compare
near with near.

With --grpc generated stubs of gRPC are measured, with the options of ghz: all else is
passed to ` + "`peregrine-grpc-perf`" + `, a program of its own, found beside this one or by
PATH. A clone builds it by:

  ` + buildOther(perfGRPCProgram) + `

An interrupt (Ctrl-C) ends the measurement early: what was measured until then is
printed.`,
		Example: `  peregrine perf ` + defaultAddr + `
  peregrine perf ` + defaultAddr + ` --mode latency --cpu 0 --poll busy
  peregrine perf ` + defaultAddr + ` --mode upload --size 16MiB --window 2
  peregrine perf ` + defaultAddr + ` --call --window 64 --cpu 0 --json rate.json
  peregrine perf ` + defaultAddr + ` --fault loss=0.01
  peregrine perf 10.9.0.1:31850 --transport 'dpdk://net_virtio_user0,path=/tmp/p.sock?ip=10.9.0.2/24'
  peregrine perf ` + defaultAddr + ` --raw            # server: peregrine serve --raw
  peregrine perf --grpc --serve ` + defaultURL + `
  peregrine perf --grpc ` + defaultAddr + ` -c 50 -n 100000`,
		Args: arguments(1, 1, serverAddr),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.complete(cmd, args[0]); err != nil {
				return misuse(cmd, err)
			}
			return p.during(cmd, func() error { return p.run(cmd.Context()) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&p.transport, "transport", "", "URL of the local transport (default: UDP, any port)")
	flags.StringVar(&p.mode, "mode", "rate", "what to measure: rate, latency, upload or download")
	flags.Var(&p.size, "size", "bytes of a message, such as 32, 64KiB or 8MiB")
	flags.IntVar(&p.window, "window", 0, "calls outstanding, over all sessions")
	flags.IntVar(&p.sessions, "sessions", 1, "sessions that the calls are spread over")
	flags.DurationVar(&p.duration, "duration", 5*time.Second, "how long to measure")
	flags.DurationVar(&p.warmup, "warmup", 500*time.Millisecond, "how long to run before measuring")
	flags.BoolVar(&p.call, "call", false, "block in Call, from as many goroutines as --window")
	flags.BoolVar(&p.raw, "raw", false, "send datagrams without the engine")
	flags.StringVar(&p.plot, "plot", "", "draw rate, window, round trip and queueing delay over time into this SVG `file`")
	flags.Bool("grpc", false, "measure generated stubs of gRPC: perf --grpc --help")
	p.results.register(flags, "the result")
	p.endpointFlags.register(flags)
	return cmd
}

// defaults of size and window by mode.
var defaults = map[string]struct {
	size   byteSize
	window int
}{
	"rate":     {32, 64},
	"latency":  {32, 1},
	"upload":   {8 << 20, 4},
	"download": {8 << 20, 4},
}

// complete checks the flags and fills in what was not given.
func (p *perfCommand) complete(cmd *cobra.Command, addr string) error {
	given := cmd.Flags().Changed
	byMode, ok := defaults[p.mode]
	if !ok {
		return fmt.Errorf("--mode is rate, latency, upload or download, not %q", p.mode)
	}
	switch {
	case given("grpc"):
		return errors.New("write --grpc alone, without a value")
	case p.raw && p.plot != "":
		return errors.New("--raw has no window and measures no round trip: leave out --plot")
	case p.raw && p.call:
		return errors.New("--raw has no calls: leave out --call")
	case p.raw && p.mode == "download":
		return errors.New("--raw measures bulk one way: use --mode upload")
	case p.raw && given("sessions"):
		return errors.New("--raw has no sessions: leave out --sessions")
	case !p.raw && given("size") && p.size < load.MinSize:
		return fmt.Errorf("--size is at least %d: calls are numbered, so that replies can be checked", load.MinSize)
	}
	if p.raw && p.mode == "upload" {
		byMode.size, byMode.window = 0, 0 // the transport decides
	}
	if !given("size") {
		p.size = byMode.size
	}
	if !given("window") {
		p.window = byMode.window
	}
	if err := p.checkRanges(); err != nil {
		return err
	}
	var err error
	if p.target, err = resolveTarget(cmd.Context(), addr); err != nil {
		return err
	}
	if p.transport == "" {
		p.transport = p.target.clientURL()
	}
	return nil
}

// The bounds of what a run may ask for.
const (
	mostWindow   = 1 << 16 // as many as a session can have slots
	mostSessions = 1 << 16 // as many as a server keeps unless told
	mostSize     = math.MaxUint32 & math.MaxInt
	mostBuffers  = 8 << 10 // MiB of all outstanding calls
	mostTime     = 24 * time.Hour
)

func (p *perfCommand) checkRanges() error {
	if _, err := p.options(); err != nil {
		return err
	}
	largest := byteSize(mostSize)
	if p.mode == "download" {
		largest = service.MaxDownload
	}
	if err := errors.Join(
		within("duration", p.duration, 1, mostTime),
		within("warmup", p.warmup, 0, mostTime),
		within("sessions", p.sessions, 1, mostSessions),
		within("size", p.size, 0, largest),
	); err != nil {
		return err
	}
	if p.raw && p.mode == "upload" && p.window == 0 {
		return nil // the transport decides
	}
	if err := within("window", p.window, 1, mostWindow); err != nil || p.raw {
		return err
	}
	work := p.work()
	each := int64(work.RequestSize()) + int64(work.ReplySize())
	if needed := int64(p.window) * each >> 20; needed > mostBuffers {
		return fmt.Errorf("--window %d with messages of %s takes %d MiB of buffers, and %d MiB is the most: make one of them smaller",
			p.window, measure.Size(int(p.size)), needed, mostBuffers)
	}
	return nil
}

// run measures, with the CPUs' round trip before and after.
func (p *perfCommand) run(ctx context.Context) error {
	measureOnce, ask := p.engine, p.askEngine
	if p.raw {
		measureOnce, ask = p.withoutEngine, p.askRaw
	}
	if p.call && p.cpu != unpinned {
		// One core a side: goroutines and loop share it.
		if err := affinity.SetProcess(p.cpu); err != nil {
			return fmt.Errorf("--cpu: %w", err)
		}
		runtime.GOMAXPROCS(1)
	}
	// Asked for beforehand, so that no loop of ours spins on the CPU while the
	// cache line travels.
	serverCPU, err := ask(ctx)
	if err != nil {
		return unmeasured(ctx, err)
	}
	line := chooseCPUs(p.cpu, serverCPU)
	before := line.roundTrip()
	shown := startProgress(os.Stderr, "warm-up and measurement", p.warmup+p.duration)
	result, backend, err := measureOnce(ctx)
	shown.end(ending(ctx, err))
	if err != nil && (ctx.Err() == nil || result.Calls == 0) {
		return unmeasured(ctx, err)
	}
	after := line.roundTrip()
	result.CacheLine, result.CacheLineAfter = before.Nanoseconds(), after.Nanoseconds()
	result.Machine = measure.ThisMachine()
	result.Parameters = p.parameters(serverCPU, backend)
	p.print(result, backend, line)
	err = errors.Join(p.json.Write(result), context.Cause(ctx))
	if result.Errors > 0 {
		err = errors.Join(err, fmt.Errorf("%d calls failed or got a wrong reply, first: %s", result.Errors, result.FirstError))
	}
	return err
}

// unmeasured is err, unless it is due to an interrupt.
func unmeasured(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w before anything was measured", context.Cause(ctx))
	}
	return err
}

// open makes the endpoint and its sessions.
func (p *perfCommand) open(ctx context.Context, sessions int, opts ...peregrine.Option) (*peregrine.Endpoint, []*peregrine.Session, error) {
	e, err := p.target.open(p.url(p.transport), opts...)
	if err != nil {
		return nil, nil, err
	}
	list := make([]*peregrine.Session, 0, sessions)
	for range sessions {
		s, err := p.target.dial(ctx, e)
		if err != nil {
			return nil, nil, errors.Join(err, e.Close())
		}
		list = append(list, s)
	}
	return e, list, nil
}

// askEngine returns the CPU that the server is pinned to.
func (p *perfCommand) askEngine(ctx context.Context) (cpu int, err error) {
	e, sessions, err := p.open(ctx, 1, p.secure.Options()...)
	if err != nil {
		return unpinned, err
	}
	defer e.Close()
	server, err := load.Statistics(ctx, sessions[0])
	return server.PinnedTo, err
}

// engine measures calls.
func (p *perfCommand) engine(ctx context.Context) (result measure.Result, backend string, err error) {
	flags := p.endpointFlags
	if p.call {
		flags.cpu = unpinned // the whole process is pinned already
	}
	opts, err := flags.options()
	if err != nil {
		return result, "", err
	}
	// A client that asks for more than an endpoint takes unless told has to be
	// ready for it. Options later in the list change this one.
	most := peregrine.WithConfig(peregrine.Config{MaxMessage: max(int64(p.size), core.Defaults().MaxMessage)})
	e, sessions, err := p.open(ctx, p.sessions, append([]peregrine.Option{most}, opts...)...)
	if err != nil {
		return result, "", err
	}
	defer e.Close()
	drawn := p.watch(e)
	defer func() { err = errors.Join(err, drawn()) }()
	result, err = load.Run(ctx, e, sessions, load.Load{
		Work: p.work(), Window: p.window, Warmup: p.warmup, Duration: p.duration,
		SampleEvery: p.sampleEvery(), Grace: grace, Blocking: p.call,
	})
	return result, e.Caps().Backend, err
}

func (p *perfCommand) work() load.Work {
	switch p.mode {
	case "upload":
		return load.Upload{Size: int(p.size)}
	case "download":
		return load.Download{Size: int(p.size)}
	}
	return load.Echo{Size: int(p.size)}
}

func (p *perfCommand) sampleEvery() uint64 {
	if p.mode == "rate" {
		return rateSample
	}
	return 1
}
