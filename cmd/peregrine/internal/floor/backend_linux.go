package floor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/load"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/raw"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/service"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
	"github.com/peregrine-rpc/peregrine/transport"
)

const (
	// size is of a datagram, and what a call of payload bytes comes to.
	size, payload = 60, 32
	// window is how many are outstanding where the rate is what counts.
	window = 64
	// sampleEvery keeps reading the clock out of the rate.
	sampleEvery = 16
	// patience is for a host that does other things as well.
	patience = 30 * time.Second
)

// CPUs are those of the client's loop and of the server's. Where they are the same
// there is only one, and nothing is pinned and nobody polls for long.
type CPUs struct{ Client, Server int }

func (c CPUs) shared() bool { return c.Client == c.Server }

// Times are the measured time of each of the runs of a backend, and what comes before.
type Times struct{ Warmup, Measured time.Duration }

// Floor is what a backend does here.
type Floor struct {
	// Raw are datagrams without the engine, Calls Peregrine's, one at a time and many.
	RawOne, RawMany, CallsOne, CallsMany measure.Result
}

// Measure measures a backend over its link.
func Measure(ctx context.Context, l Link, cpus CPUs, times Times) (f Floor, err error) {
	for _, m := range []struct {
		to     *measure.Result
		window int
		how    func(context.Context, Link, CPUs, Times, int) (measure.Result, error)
	}{
		{&f.RawOne, 1, datagrams}, {&f.RawMany, window, datagrams}, {&f.CallsOne, 1, calls}, {&f.CallsMany, window, calls},
	} {
		if *m.to, err = m.how(ctx, l, cpus, times, m.window); err != nil {
			return f, err
		}
	}
	return f, nil
}

// sampling takes every latency where there is one at a time.
func sampling(outstanding int) uint64 {
	if outstanding == 1 {
		return 1
	}
	return sampleEvery
}

// datagrams measures echoes without the engine.
func datagrams(ctx context.Context, l Link, cpus CPUs, times Times, outstanding int) (result measure.Result, err error) {
	near, far, err := l.open()
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, near.Close(), far.Close()) }()
	spin := time.Duration(raw.Forever)
	if cpus.shared() {
		spin = 0
	}
	server := raw.NewServer(far, spin, cpus.Server)
	served := make(chan error, 1)
	go func() { served <- onCPU(far, cpus.Server, cpus.shared(), server.Run) }()
	err = onCPU(near, cpus.Client, cpus.shared(), func() error {
		client, err := raw.NewClient(near, far.LocalAddr())
		if err != nil {
			return err
		}
		client.Patience = patience
		result, err = client.Echo(ctx, raw.Load{
			Size: size, Window: outstanding, Warmup: times.Warmup, Duration: times.Measured, Spin: spin, SampleEvery: sampling(outstanding),
		})
		return err
	})
	server.Stop()
	return result, errors.Join(err, <-served)
}

// onCPU runs f with the transport bound to a thread of that CPU, as a loop has it.
func onCPU(tr transport.Transport, cpu int, shared bool, f func() error) error {
	if shared {
		return f()
	}
	undo, err := affinity.Pin(cpu)
	if err != nil {
		return err
	}
	defer undo()
	release, err := transport.BindThread(tr)
	if err != nil {
		return err
	}
	defer release()
	return f()
}

// calls measures Peregrine's.
func calls(ctx context.Context, l Link, cpus CPUs, times Times, outstanding int) (result measure.Result, err error) {
	config := peregrine.WithConfig(peregrine.Config{KeepAlive: patience, ConnectTimeout: patience})
	options := func(cpu int) []peregrine.Option {
		if cpus.shared() {
			return []peregrine.Option{config}
		}
		return []peregrine.Option{config, peregrine.WithCPU(cpu), peregrine.WithPoll(peregrine.Busy)}
	}
	server, client, err := l.listen(options(cpus.Server), options(cpus.Client))
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, client.Close(), server.Close()) }()
	service.Register(server, cpus.Server)
	session, err := client.Dial(ctx, server.Addr().String())
	if err != nil {
		return result, err
	}
	result, err = load.Run(ctx, client, []*peregrine.Session{session}, load.Load{
		Work: load.Echo{Size: payload}, Window: outstanding, Warmup: times.Warmup, Duration: times.Measured,
		SampleEvery: sampling(outstanding), Grace: patience,
	})
	if err == nil && result.Errors > 0 {
		err = fmt.Errorf("%d calls failed, first: %s", result.Errors, result.FirstError)
	}
	return result, err
}
