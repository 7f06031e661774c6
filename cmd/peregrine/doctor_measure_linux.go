package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/doctor"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/floor"
	"github.com/peregrine-rpc/peregrine/internal/cacheline"
	"github.com/peregrine-rpc/peregrine/internal/netns"
)

// Shares of the time for all of it, which sum to one: four backends with four runs
// each, and four primitives.
const (
	perRun       = 0.05
	perWarmup    = 0.01
	perPrimitive = 0.01
)

// backendTime is what a backend takes of the whole.
const backendTime = 4 * (perRun + perWarmup)

// figures measures this host, with a line or a bar for each step.
func (d *doctorCommand) figures(ctx context.Context, facts *doctor.Facts) error {
	cpus := floor.CPUs{}
	cpus.Client, cpus.Server = facts.TwoCPUs()
	m := &doctor.Measured{CPUs: [2]int{cpus.Client, cpus.Server}}
	// Both loops poll, and this goroutine and the runtime want a place too.
	if procs := runtime.GOMAXPROCS(0); procs < 4 {
		runtime.GOMAXPROCS(4)
		defer runtime.GOMAXPROCS(procs)
	}
	part := func(share float64) time.Duration { return time.Duration(share * float64(d.duration)) }
	err := d.step(ctx, "cache line, clock, timer, kernel", part(4*perPrimitive), func() (err error) {
		m.CacheLine, err = cacheline.RoundTrip(cpus.Client, cpus.Server, part(perPrimitive))
		if err != nil && !errors.Is(err, cacheline.ErrOneCPU) {
			return err
		}
		m.SystemCall, m.Clock = floor.SystemCall(part(perPrimitive)), floor.Clock(part(perPrimitive))
		m.Timer, m.TimerP99, m.Slack, err = floor.Timer(cpus.Client, part(perPrimitive))
		return err
	})
	if err != nil {
		return err
	}
	for _, backend := range []string{"udp", "iouring", "xdp", "dpdk"} {
		if !slices.Contains(facts.Asked.Built, backend) || facts.Asked.Backend != "" && facts.Asked.Backend != backend {
			continue
		}
		f := doctor.Floor{Backend: backend}
		err := d.step(ctx, "floor and calls over "+backend, part(backendTime), func() error {
			link, err := linkOf(backend)
			if err != nil {
				return err
			}
			found, err := floor.Measure(ctx, link, cpus, floor.Times{Warmup: part(perWarmup), Measured: part(perRun)})
			f.RawP50, f.P50, f.RawRate, f.Rate = found.RawOne.P50, found.CallsOne.P50, found.RawMany.Rate, found.CallsMany.Rate
			return errors.Join(err, link.Close())
		})
		if ctx.Err() != nil {
			return unmeasured(ctx, err)
		}
		if err != nil { // the others stand without it
			f.Error = err.Error()
		}
		m.Floors = append(m.Floors, f)
	}
	if len(m.Floors) > 0 {
		fmt.Fprintln(d.out)
	}
	facts.Measured = m
	return nil
}

// step shows how far it is.
func (d *doctorCommand) step(ctx context.Context, name string, takes time.Duration, run func() error) error {
	p := startProgress(d.out, name, takes)
	err := run()
	p.end(ending(ctx, err))
	return err
}

// linkOf is where a backend can be measured without a second host.
func linkOf(backend string) (floor.Link, error) {
	switch backend {
	case "xdp":
		link, err := floor.Veth(backend)
		if errors.Is(err, netns.ErrNotPermitted) {
			err = errors.New("it takes root, to make a pair of interfaces")
		}
		return link, err
	case "dpdk":
		return floor.Virtual()
	}
	return floor.Loopback(backend), nil
}
