package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/live"
)

type topCommand struct {
	endpointFlags
	transport string
	interval  time.Duration
	count     int
	out       io.Writer
}

// looker says what a server does.
type looker func(context.Context) (*live.State, error)

func newTop() *cobra.Command {
	var c topCommand
	cmd := &cobra.Command{
		Use:   "top URL|ADDR",
		Short: "Show in a terminal what a server does",
		Long: `Top shows what an endpoint does: rates, methods, peers, loops, and the latest slow
and failed calls. It asks the page of a program that has one, as 'peregrine serve
--http' does, or the endpoint itself, if that answers as 'peregrine serve --top'
does. On a terminal it shows it in place; into a pipe it writes it again and
again. Who demands a token gets the one in ` + tokenVariable + `. The
flags for transports are for the endpoint, those for TLS also for a page by https.`,
		Example: `  peregrine serve --http 127.0.0.1:9090 --top     # in one terminal
  peregrine top http://127.0.0.1:9090             # in another
  peregrine top ` + defaultAddr + `                   # the same without HTTP`,
		Args: arguments(1, 1, "the page's URL, such as http://127.0.0.1:9090, or the server's address, such as "+defaultAddr),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.out = cmd.OutOrStdout()
			err := errors.Join(within("interval", c.interval, 100*time.Millisecond, mostTime), within("count", c.count, 0, 1<<30))
			if err != nil {
				return misuse(cmd, err)
			}
			if strings.Contains(args[0], "://") {
				at, err := stateURL(args[0])
				if err != nil {
					return misuse(cmd, err)
				}
				by, err := browser(c.secure.TLS)
				if err != nil {
					return misuse(cmd, err)
				}
				return c.run(cmd.Context(), func(ctx context.Context) (*live.State, error) { return askPage(ctx, by, at) })
			}
			to, err := resolveTarget(cmd.Context(), args[0])
			if err != nil {
				return misuse(cmd, err)
			}
			return c.runCalls(cmd.Context(), to)
		},
	}
	cmd.Flags().StringVar(&c.transport, "transport", "", "URL of the local transport (default: UDP, any port)")
	cmd.Flags().DurationVar(&c.interval, "interval", time.Second, "time between two looks")
	cmd.Flags().IntVar(&c.count, "count", 0, "how often to look (0: until interrupted)")
	c.endpointFlags.register(cmd.Flags())
	return cmd
}

// stateURL is where the data of a page are.
func stateURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%q is no page: write a URL such as http://127.0.0.1:9090", text)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/debug/peregrine/"
	}
	return u.JoinPath("state").String(), nil
}

// runCalls asks the endpoint itself.
func (c *topCommand) runCalls(ctx context.Context, to target) error {
	e, session, err := to.connect(ctx, c.transport, &c.endpointFlags)
	if err != nil {
		return err
	}
	defer e.Close()
	token := []byte(os.Getenv(tokenVariable))
	return c.run(ctx, func(ctx context.Context) (*live.State, error) {
		answer, err := session.Method(live.StateMethod).Call(ctx, token, nil)
		switch {
		case peregrine.CodeOf(err) == peregrine.Unimplemented:
			return nil, fmt.Errorf("the server at %s does not tell: start it with --top, or with --http and give the page's URL, such as http://127.0.0.1:9090 (%w)", to.text, err)
		case err != nil:
			return nil, fmt.Errorf("the server at %s does not say what it does: %w", to.text, err)
		}
		return parseState(to.text, answer)
	})
}

func (c *topCommand) run(ctx context.Context, look looker) error {
	tick := time.NewTicker(c.interval)
	defer tick.Stop()
	width := measure.Width(c.out)
	for looks := 1; ; looks++ {
		state, err := look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil // it is the way to end
		case err != nil:
			return err
		}
		text := render(state)
		if width > 0 {
			lines := strings.Split(text, "\n")
			for i := range lines {
				lines[i] = measure.Shorten(lines[i], width)
			}
			text = "\x1b[H\x1b[2J" + strings.Join(lines, "\n")
		}
		if _, err := io.WriteString(c.out, text); err != nil {
			return err
		}
		if looks == c.count {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// mostState is more than a state has bytes.
const mostState = 1 << 24

func askPage(ctx context.Context, by *http.Client, at string) (*live.State, error) {
	answer, err := get(ctx, by, at, os.Getenv(tokenVariable))
	if err != nil {
		return nil, fmt.Errorf("the page does not answer: is a program there with --http, or live.New? %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, mostState))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s says: %s (%s)", at, strings.TrimSpace(printable(string(body))), answer.Status)
	}
	return parseState(at, body)
}

func parseState(at string, text []byte) (*live.State, error) {
	state := new(live.State)
	if err := json.Unmarshal(text, state); err != nil {
		return nil, fmt.Errorf("%s does not tell the state of an endpoint: %w", at, err)
	}
	return state, nil
}

// printable is text without what a terminal might obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

const topCalls, topPeers = 10, 20

// render is a state as lines for a terminal.
func render(s *live.State) string {
	var b strings.Builder
	us := measure.Micros
	row := func(format string, args ...any) {
		b.WriteString(strings.TrimRight(printable(fmt.Sprintf(format, args...)), " ") + "\n")
	}
	row("%s over %s, %s", s.Address, s.Backend, s.Time.Format("15:04:05"))
	if s.Held {
		row("A loop does not answer: a handler or a completion holds it.")
	}
	row("calls %d/s  requests %d/s  datagrams %d/s in, %d/s out  sent again %d/s  waited for a slot %d/s",
		s.Rates["calls"], s.Rates["requests"], s.Rates["received"], s.Rates["sent"], s.Rates["sent again"], s.Rates["queued"])
	b.WriteByte('\n')
	row("%-20s %-7s %11s %11s %11s %12s  %s", "METHOD", "SIDE", "RATE", "P50", "P99", "IN ALL", "FAILED")
	for _, m := range s.Methods {
		row("%-20s %-7s %9.0f/s %11s %11s %12d  %s", m.Method, m.Side, m.Rate, us(m.P50), us(m.P99), m.Total, failures(m.Failed))
	}
	b.WriteByte('\n')
	row("%-30s %-7s %11s %11s %11s %6s %9s %9s %7s", "PEER", "WE ARE", "ROUND TRIP", "IN FLIGHT", "WINDOW", "MTU", "SESSIONS", "REQUESTS", "QUEUED")
	for _, p := range s.Peers[:min(len(s.Peers), topPeers)] {
		row("%-30s %-7s %11s %11s %11s %6d %9d %9d %7d", p.Address, p.Side, us(p.RTT), measure.Size(p.InFlight), measure.Size(p.Window),
			p.MTU, p.Sessions, p.Requests, p.Queued)
	}
	if more := s.MorePeers + max(0, len(s.Peers)-topPeers); more > 0 {
		row("and %d more", more)
	}
	b.WriteByte('\n')
	row("%-5s %6s %11s %11s %-20s %8s", "LOOP", "BUSY", "TURNS", "LONGEST", "IN METHOD", ">= 1 ms")
	for i, l := range s.Loops {
		row("%-5d %5.0f%% %9.0f/s %11s %-20s %8d", i, 100*l.Busy, l.Turns, us(l.LongestMicros), l.LongestMethod, l.LongTurns)
	}
	b.WriteByte('\n')
	row("%-13s %-16s %-7s %-20s %11s %11s  %s", "ENDED", "CALL", "SIDE", "METHOD", "TOOK", "FOR A SLOT", "STATUS")
	for _, c := range s.Calls[:min(len(s.Calls), topCalls)] {
		row("%-13s %-16s %-7s %-20s %11s %11s  %s", c.At.Format("15:04:05.000"), c.ID, c.Side, c.Method, us(c.Took), us(c.Waited), c.Status)
	}
	return b.String()
}

func failures(counts map[string]uint64) string {
	var list []string
	for code, n := range counts {
		list = append(list, fmt.Sprintf("%s %d", code, n))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
