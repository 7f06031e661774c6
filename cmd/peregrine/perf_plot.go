package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/experiment"
)

// plotEvery is how often perf --plot looks: a loop answers a few hundred times in a run
// of seconds, which costs nothing that is measured.
const plotEvery = 20 * time.Millisecond

// moment is how the first connection stands at one time.
type moment struct {
	at          time.Duration
	sent        uint64 // datagrams since the endpoint was made
	window      int    // bytes
	trip, least time.Duration
}

// watch looks at the endpoint until drawn is called, which draws what it saw, with
// --plot.
func (p *perfCommand) watch(e *peregrine.Endpoint) (drawn func() error) {
	if p.plot == "" {
		return func() error { return nil }
	}
	ctx, stop := context.WithCancel(context.Background())
	seen := make(chan []moment, 1)
	go func() {
		var list []moment
		began, least := time.Now(), time.Duration(0)
		for ctx.Err() == nil {
			if s, err := e.Snapshot(ctx, 1); err == nil && len(s.Peers) > 0 && s.Peers[0].RTT > 0 {
				peer := s.Peers[0]
				if least == 0 || peer.RTT < least {
					least = peer.RTT
				}
				list = append(list, moment{time.Since(began), s.Stats.TxData, peer.Window, peer.RTT, least})
			}
			select {
			case <-ctx.Done():
			case <-time.After(plotEvery):
			}
		}
		seen <- list
	}()
	return func() error {
		stop()
		if err := os.WriteFile(p.plot, []byte(plotted(<-seen)), 0o644); err != nil {
			return fmt.Errorf("--plot: %w", err)
		}
		return nil
	}
}

// plotted draws moments.
func plotted(list []moment) string {
	panel := func(title, label string, of func(now, before moment) float64) experiment.Panel {
		line := experiment.Line{Name: "the first connection"}
		for i := 1; i < len(list); i++ {
			line.X = append(line.X, list[i].at.Seconds())
			line.Y = append(line.Y, of(list[i], list[i-1]))
		}
		return experiment.Panel{Title: title, Lines: []experiment.Line{line}, Y: &experiment.Axis{Label: label}}
	}
	micros := func(d time.Duration) float64 { return float64(d) / 1e3 }
	chart := experiment.Chart{
		Title: "peregrine perf",
		X:     experiment.Axis{Label: "seconds"},
		Panels: []experiment.Panel{
			panel("rate", "1000 datagrams a second", func(now, before moment) float64 {
				return float64(now.sent-before.sent) / (now.at - before.at).Seconds() / 1e3
			}),
			panel("window", "kB", func(now, _ moment) float64 { return float64(now.window) / 1e3 }),
			panel("round trip, smoothed", "µs", func(now, _ moment) float64 { return micros(now.trip) }),
			panel("above the least so far: queues", "µs", func(now, _ moment) float64 { return micros(now.trip - now.least) }),
		},
	}
	return chart.SVG()
}
