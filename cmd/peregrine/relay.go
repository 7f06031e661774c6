package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/relay"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
	"github.com/peregrine-rpc/peregrine/transport"
)

type relayCommand struct {
	url       string
	server    target
	transport string
	poll      peregrine.Poll
	cpu       int
	flows     int
	idle      time.Duration
	untilEOF  bool
	in        io.Reader
	notes     []string // of what was not obtained
	results
}

func newRelay() *cobra.Command {
	var c relayCommand
	cmd := &cobra.Command{
		Use:   "relay URL ADDR",
		Short: "Pass clients' datagrams on to a server",
		Long: `Relay passes RPC datagrams between the clients that send to URL and the server
at ADDR, as a network address translator does: each client gets a source port of
its own towards the server. It passes nothing else, until it gets SIGINT or
SIGTERM; then it prints its counters.

Between two AF_XDP interfaces datagrams are sent from the memory in which they
were received. Between others each is copied once.`,
		Example: `  peregrine relay udp://0.0.0.0:7000 10.1.0.7:31850
  peregrine relay 'xdp://eth1?port=7000' 10.1.0.7:31850 --transport xdp://eth2
  peregrine perf 10.0.0.1:7000                    # a client, of the relay's address`,
		Args: arguments(2, 2, "the URL that clients send to and "+serverAddr),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			c.url, c.in = args[0], cmd.InOrStdin()
			c.server, err = resolveTarget(cmd.Context(), args[1])
			if err := errors.Join(err, c.check()); err != nil {
				return misuse(cmd, err)
			}
			return c.during(cmd, func() error { return c.run(cmd.Context()) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.transport, "transport", "", "URL of the local transport towards the server (default: UDP, any port)")
	flags.IntVar(&c.flows, "flows", 4096, "how many clients there may be at a time")
	flags.DurationVar(&c.idle, "idle", time.Minute, "how long a client's port is kept while nothing passes")
	flags.TextVar(&c.poll, "poll", peregrine.Adaptive, "what the relay does when nothing arrives: `busy` (own the core), adaptive (spin a little, then block) or block")
	flags.IntVar(&c.cpu, "cpu", unpinned, "CPU to pin the relay's thread to, from 0 (-1: none)")
	flags.BoolVar(&c.untilEOF, "until-eof", false, "stop when standard input ends")
	_ = flags.MarkHidden("until-eof") // for a parent process, whose death closes it
	c.results.register(flags, "the counters at the end")
	return cmd
}

const (
	mostFlows = 32768 // of the ports that there are
	leastIdle = time.Second
)

func (c *relayCommand) check() error {
	err := errors.Join(
		within("flows", c.flows, 1, mostFlows),
		within("idle", c.idle, leastIdle, mostTime),
		transport.CheckURL(c.url),
	)
	if c.transport == "" {
		return err
	}
	if u, _ := url.Parse(c.transport); u != nil && u.Port() != "" && u.Port() != "0" {
		err = errors.Join(err, fmt.Errorf("--transport: %s names a port, and each client needs one of its own: write port 0", c.transport))
	}
	return errors.Join(err, transport.CheckURL(c.transport))
}

func (c *relayCommand) run(ctx context.Context) error {
	if c.cpu != unpinned {
		undo, err := affinity.Pin(c.cpu)
		if err != nil {
			return fmt.Errorf("--cpu: %w", err)
		}
		defer undo()
	}
	if c.untilEOF {
		var cancel context.CancelFunc
		ctx, cancel = untilEOF(ctx, c.in)
		defer cancel()
	}
	r, err := c.open()
	if err != nil {
		return fmt.Errorf("cannot relay: %w", err)
	}
	defer context.AfterFunc(ctx, r.Stop)()
	c.announce(r)

	err = r.Run()
	stats := r.Stats()
	c.report(stats)
	return errors.Join(err, c.json.Write(stats), r.Close())
}

// open opens the relay, over one memory if there can be one.
func (c *relayCommand) open() (*relay.Relay, error) {
	if c.transport == "" {
		c.transport = c.server.clientURL()
	}
	from, to, can := oneMemory(c.url, c.transport)
	if !can {
		return c.between(c.url, c.transport)
	}
	r, refusal := c.between(from, to)
	if refusal == nil {
		return r, nil
	}
	r, err := c.between(c.url, c.transport)
	if err == nil {
		c.notes = append(c.notes, fmt.Sprintf("datagrams are copied, for the interfaces cannot have one memory: %v", refusal))
	}
	return r, err
}

func (c *relayCommand) between(from, to string) (*relay.Relay, error) {
	inside, err := transport.Open(from)
	if err != nil {
		return nil, err
	}
	cfg := relay.Config{
		Server: c.server.addr(), MaxFlows: c.flows, Idle: c.idle,
		Spin: (&endpointFlags{poll: c.poll}).spin(), Pinned: c.cpu != unpinned,
	}
	return relay.New(cfg, inside, func() (transport.Transport, error) { return transport.Open(to) })
}

// oneMemory has two AF_XDP interfaces keep their packets in one memory, unless their
// URLs say something of it.
func oneMemory(from, to string) (oneFrom, oneTo string, can bool) {
	var urls [2]string
	for i, raw := range []string{from, to} {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "xdp" || u.Query().Has("memory") {
			return "", "", false
		}
		q := u.Query()
		q.Set("memory", "relay")
		u.RawQuery = q.Encode()
		urls[i] = u.String()
	}
	return urls[0], urls[1], true
}

// announce says where clients send to, and how what they send gets on.
func (c *relayCommand) announce(r *relay.Relay) {
	announce(c.out, r.Addr().String(), r.InsideCaps())
	caps := r.OutsideCaps()
	outward, inward := r.Copies()
	fmt.Fprintf(c.out, "relaying to %s over %s: %s; datagrams to the server are %s, to clients %s\n",
		c.server.text, caps.Backend, strings.Join(describe(caps), ", "), copied(outward), copied(inward))
	for _, note := range append(c.notes, caps.Notes...) {
		fmt.Fprintf(c.out, "note: %s\n", note)
	}
}

func copied(times int) string {
	if times == 0 {
		return "sent as they lie"
	}
	return "copied once"
}

func (c *relayCommand) report(s relay.Stats) {
	fmt.Fprintf(c.out, "relayed %d datagrams to the server and %d to clients, %d without copy and %d copied once; %s opened\n",
		s.ToServer, s.ToClients, s.WithoutCopy, s.Copied, measure.Plural(int(s.FlowsOpened), "flow"))
	if dropped := s.Foreign + s.TooLarge + s.Overflow + s.Strangers + s.NoFlow; dropped > 0 {
		fmt.Fprintf(c.out, "dropped %d: %d no RPC, %d too large for the other side, %d without room to send them, %d of strangers, %d of clients without a flow\n",
			dropped, s.Foreign, s.TooLarge, s.Overflow, s.Strangers, s.NoFlow)
	}
	if s.Unreachable > 0 {
		fmt.Fprintf(c.out, "told %s that a datagram could not be delivered\n", measure.Plural(int(s.Unreachable), "time"))
	}
	if s.FlowsRefused > 0 {
		why := s.Refusal
		if why == "" {
			why = fmt.Sprintf("all %d were taken: see --flows", c.flows)
		}
		fmt.Fprintf(c.out, "refused %s: %s\n", measure.Plural(int(s.FlowsRefused), "flow"), why)
	}
}
