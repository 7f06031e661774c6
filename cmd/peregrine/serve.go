package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/service"
	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/flight"
	"github.com/peregrine-rpc/peregrine/internal/secureflag"
	"github.com/peregrine-rpc/peregrine/transport"
)

// drainTimeout is how long accepted requests may take when the server stops, if
// their clients are there.
const drainTimeout = 10 * time.Second

type serveCommand struct {
	endpointFlags
	http     httpFlags
	url      string
	config   string
	loops    int
	raw      bool
	untilEOF bool
	in       io.Reader
	extra    []peregrine.Option
	results
}

func newServe() *cobra.Command {
	var s serveCommand
	cmd := &cobra.Command{
		Use:   "serve [URL]",
		Short: "Offer echo, upload and download",
		Long: `Serve answers echo, upload and download requests at a URL, by default
` + defaultURL + `, until it gets SIGINT or SIGTERM. It then finishes what
it has accepted and prints its counters.

Where others reach it, it wants to be told how connections are sealed, or with
--plain that they are not: whoever reaches the port may then call, and whoever is
on the way may read and forge.`,
		Example: `  peregrine serve
  peregrine serve udp://0.0.0.0:31850 --cpu 1 --poll busy --tls-cert s.pem --tls-key s.key
  peregrine serve udp://10.0.1.7:31850 --psk rack.psk
  peregrine serve --config server.yaml
  peregrine serve 'dpdk://net_vhost0,iface=/tmp/p.sock?ip=10.9.0.1/24&port=31850' --plain
  peregrine serve --fault loss=0.01,reorder=0.05
  peregrine serve --http 127.0.0.1:9090           # and look at it with a browser
  peregrine serve --raw                           # datagrams, no engine: for perf --raw`,
		Args: arguments(0, 1, "one URL, such as "+defaultURL),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.in = cmd.InOrStdin()
			if len(args) == 1 {
				s.url = args[0]
			}
			if err := s.check(cmd.Flags()); err != nil {
				return misuse(cmd, err)
			}
			return s.during(cmd, func() error { return s.run(cmd.Context()) })
		},
	}
	s.register(cmd.Flags())
	cmd.Flags().StringVar(&s.config, "config", "", "YAML file with transport and engine settings, instead of a URL")
	cmd.Flags().BoolVar(&s.raw, "raw", false, "echo datagrams without the engine")
	return cmd
}

// register adds what all commands that serve have.
func (s *serveCommand) register(flags *pflag.FlagSet) {
	s.endpointFlags.register(flags)
	s.http.register(flags)
	s.results.register(flags, "the counters at the end")
	s.secure.RegisterServer(flags)
	flags.IntVar(&s.loops, "loops", 1, "event loops, each with a queue and a core of its own")
	flags.BoolVar(&s.untilEOF, "until-eof", false, "stop when standard input ends")
	_ = flags.MarkHidden("until-eof") // for a parent process, whose death closes it
}

// onlyConfig refuses flags for what a configuration file says.
func onlyConfig(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "config", "json", "until-eof", "http", "http-cert", "http-key", "http-ca", "top", "flight", "plain":
		default:
			err = fmt.Errorf("--%s and --config contradict each other: write it into the file", f.Name)
		}
	})
	return err
}

// mostLoops is how many an endpoint may have.
const mostLoops = core.MaxQueues

func (s *serveCommand) check(flags *pflag.FlagSet) error {
	if s.config != "" {
		if err := onlyConfig(flags); err != nil {
			return err
		}
	}
	switch {
	case s.config != "" && s.url != "":
		return errors.New("give either a URL or --config, not both: the file names the transport")
	case s.raw && s.loops != 1:
		return errors.New("--raw has one loop: leave out --loops")
	case s.raw && s.patience != 0:
		return errors.New("--patience has no meaning with --raw: a raw server waits for nobody")
	case s.cpu != unpinned && s.loops != 1:
		return errors.New("--cpu is for one loop: pin several with cpus: [...] in a --config file")
	}
	if s.raw && s.http.on() {
		return errors.New("--http and --top have no meaning with --raw: they show an endpoint, and a raw server has none")
	}
	_, err := s.options()
	err = errors.Join(err, s.http.check())
	return errors.Join(within("loops", s.loops, 1, mostLoops), err)
}

func (s *serveCommand) run(ctx context.Context) error {
	if s.url == "" {
		s.url = defaultURL
	}
	if s.untilEOF {
		var cancel context.CancelFunc
		ctx, cancel = untilEOF(ctx, s.in)
		defer cancel()
	}
	if s.raw {
		return s.runRaw(ctx)
	}
	return s.runEngine(ctx)
}

// open opens the endpoint that the URL and flags, or the file, describe.
func (s *serveCommand) open() (*peregrine.Endpoint, error) {
	opts, err := s.options()
	if err != nil {
		return nil, err
	}
	extra := append(s.extra, s.http.options(s.flight != "")...)
	opts = append(opts, extra...)
	if s.config == "" {
		return peregrine.Listen(s.endpointFlags.url(s.url), append(opts, peregrine.WithLoops(s.loops))...)
	}
	file, err := peregrine.LoadConfig(s.config)
	if err != nil {
		return nil, err
	}
	s.secure.Plain = s.secure.Plain || file.Plain
	if len(file.CPUs) > 0 {
		s.cpu = file.CPUs[0]
	}
	if s.flight != "" {
		extra = append(extra, flight.Keep(s.flight, complain))
	}
	return file.Listen(extra...)
}

func (s *serveCommand) runEngine(ctx context.Context) error {
	if err := s.secure.CheckServer(); err != nil {
		return fmt.Errorf("cannot serve: %w", err)
	}
	e, err := s.open()
	if err != nil {
		return fmt.Errorf("cannot serve: %w", err)
	}
	if err := s.secure.MayServe(e); err != nil {
		return errors.Join(fmt.Errorf("cannot serve: %w", err), e.Close())
	}
	service.Register(e, s.cpu)
	defer s.saveAtSignal(e)()
	announce(s.out, e.Addr().String(), e.Caps())
	secureflag.Announce(s.out, e)
	stop, err := s.http.serve(e, func(format string, args ...any) { fmt.Fprintf(s.out, format, args...) })
	if err != nil {
		return errors.Join(err, e.Close())
	}
	defer stop()

	<-ctx.Done()
	draining, cancel := context.WithTimeout(context.Background(), drainTimeout+s.patience)
	defer cancel()
	err = e.Shutdown(draining)
	stats := e.Stats()
	rejected := rejections(stats.Rejections())
	saved := s.json.Write(struct {
		peregrine.Stats
		Rejected rejections `json:"rejected"`
	}{stats, rejected})
	fmt.Fprintf(s.out, "served %s, refused %d, retransmitted %d; datagrams received %d, sent %d\n",
		measure.Plural(int(stats.RequestsHandled), "request"), stats.RequestsRefused, stats.Retransmits,
		stats.Transport.RxPackets, stats.Transport.TxPackets)
	if line := rejected.String(); line != "" {
		fmt.Fprintln(s.out, measure.Fold(line, measure.Width(s.out), 2))
	}
	if err != nil {
		err = fmt.Errorf("accepted requests were still unanswered after %v: %w", drainTimeout+s.patience, err)
	}
	return errors.Join(err, saved)
}

// listening begins the line that says that a server is ready. Programs read it.
const listening = "listening on "

// announce says where a server listens and what it obtained.
func announce(w io.Writer, addr string, caps transport.Caps) {
	fmt.Fprintf(w, "%s%s over %s: %s\n", listening, addr, caps.Backend, strings.Join(describe(caps), ", "))
	for _, note := range caps.Notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
}

// describe lists what a transport obtained.
func describe(caps transport.Caps) []string {
	list := []string{fmt.Sprintf("datagrams to %d B", caps.MaxPayload)}
	if caps.Queues > 1 {
		list = append(list, measure.Plural(caps.Queues, "queue"))
	}
	if caps.RecvBuffer > 0 {
		list = append(list, "receive buffer "+measure.Size(caps.RecvBuffer))
	}
	for _, ability := range []struct {
		name string
		has  bool
	}{
		{"segmentation offload", caps.SegmentTx},
		{"receive offload", caps.SegmentRx},
		{"zero-copy receive", caps.ZeroCopyRx},
		{"zero-copy send", caps.ZeroCopyTx},
		{"ECN", caps.ECN},
	} {
		if ability.has {
			list = append(list, ability.name)
		}
	}
	return list
}
