package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

type pingCommand struct {
	endpointFlags
	transport string
	count     int
	interval  time.Duration
	timeout   time.Duration
	results
}

func newPing() *cobra.Command {
	var p pingCommand
	cmd := &cobra.Command{
		Use:   "ping ADDR",
		Short: "Measure the round trip to a server's engine",
		Long: `Ping sends a probe that the server's engine answers by itself, as often as
--interval says, until --count is reached or it is interrupted. A probe that has
no answer in time is sent again, which is counted, and the last try is timed.`,
		Example: `  peregrine ping ` + defaultAddr + `
  peregrine ping 10.0.1.7:31850 --count 100 --interval 10ms`,
		Args: arguments(1, 1, serverAddr),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := resolveTarget(cmd.Context(), args[0])
			if err := errors.Join(p.check(), err); err != nil {
				return misuse(cmd, err)
			}
			return p.during(cmd, func() error { return p.run(cmd.Context(), to) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&p.transport, "transport", "", "URL of the local transport (default: UDP, any port)")
	flags.IntVar(&p.count, "count", 0, "how many probes to send (0: until interrupted)")
	flags.DurationVar(&p.interval, "interval", time.Second, "time between two probes")
	flags.DurationVar(&p.timeout, "timeout", 2*time.Second, "how long to wait for an answer")
	p.results.register(flags, "the result")
	p.endpointFlags.register(flags)
	return cmd
}

func (p *pingCommand) check() error {
	_, err := p.options()
	return errors.Join(err,
		within("count", p.count, 0, 1<<30),
		within("interval", p.interval, 1, mostTime),
		within("timeout", p.timeout, 1, mostTime),
	)
}

func (p *pingCommand) run(ctx context.Context, to target) error {
	e, session, err := to.connect(ctx, p.transport, &p.endpointFlags)
	if err != nil {
		return err
	}
	defer e.Close()
	result := p.probe(ctx, session, to)
	closed := e.Close()
	result.Repeated = e.Stats().PingsRepeated
	err = errors.Join(closed, p.report(to, result), p.json.Write(result))
	if p.count > 0 {
		err = errors.Join(err, context.Cause(ctx)) // without a count it is the way to end
	}
	return err
}

// pingResult is the summary.
type pingResult struct {
	Target   string `json:"target"`
	Sent     int    `json:"sent"`
	Received int    `json:"received"`
	Repeated uint64 `json:"repeated"` // had no answer in time; the last try is timed
	measure.Latency
	Machine measure.Machine `json:"machine"`

	refusal error // what the server has said, last, in an answer's place
}

// probe sends until ctx ends or the count is reached.
func (p *pingCommand) probe(ctx context.Context, session *peregrine.Session, to target) pingResult {
	recorder := measure.NewRecorder()
	result := pingResult{Target: to.text, Machine: measure.ThisMachine()}
	tick := time.NewTicker(p.interval)
	defer tick.Stop()
	for {
		waiting, cancel := context.WithTimeout(ctx, p.timeout)
		began := time.Now()
		rtt, err := session.Ping(waiting)
		cancel()
		if ctx.Err() != nil {
			break
		}
		result.Sent++
		if err == nil {
			result.Received++
			recorder.Record(rtt)
			fmt.Fprintf(p.out, "answer from %s: seq=%d time=%s%s\n", to.text, result.Sent, measure.Short(rtt), waited(rtt, time.Since(began)))
		} else {
			fmt.Fprintf(p.out, "no answer from %s: seq=%d (%v)\n", to.text, result.Sent, err)
			if wantsCredentials(err) {
				result.refusal = err
			}
		}
		if result.Sent == p.count {
			break
		}
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		break
	}
	result.Latency = recorder.Latency()
	return result
}

// worthSaying is from how much longer than a round trip an answer has to be waited for
// to be said: a probe is repeated after some milliseconds.
const worthSaying = time.Millisecond

// waited says how long an answer took where that is not the round trip, since an
// earlier try was lost, or this host was busy.
func waited(rtt, all time.Duration) string {
	if all < rtt+worthSaying {
		return ""
	}
	return fmt.Sprintf(" (after %s in all)", measure.Short(all))
}

func (p *pingCommand) report(to target, r pingResult) error {
	text := fmt.Sprintf("%s: %d sent, %d answered", to.text, r.Sent, r.Received)
	if r.Repeated > 0 {
		text += fmt.Sprintf(", sent again %s for want of an answer in time", measure.Plural(int(r.Repeated), "time"))
	}
	if r.Received > 0 {
		text += fmt.Sprintf("; min %s, mean %s, p50 %s, p99 %s, max %s", measure.Micros(r.Min),
			measure.Micros(r.Mean), measure.Micros(r.P50), measure.Micros(r.P99), measure.Micros(r.Max))
	}
	fmt.Fprintf(p.out, "\n%s\n", measure.Fold(text, measure.Width(p.out), 2))
	lost := r.Sent - r.Received
	if r.refusal != nil {
		return fmt.Errorf("%d of %s had no answer: %w", lost, measure.Plural(r.Sent, "probe"), withFlags(r.refusal))
	}
	if lost > 0 {
		return fmt.Errorf("%d of %s had no answer within %v", lost, measure.Plural(r.Sent, "probe"), p.timeout)
	}
	return nil
}
