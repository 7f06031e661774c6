package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/raw"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
	"github.com/peregrine-rpc/peregrine/transport"
)

// rawBulk is the size of raw bulk datagrams unless told, in bytes: what the
// engine sends at most, for an equal number of headers.
const rawBulk = 8972

// askRaw returns the CPU that a raw server is pinned to.
func (p *perfCommand) askRaw(ctx context.Context) (cpu int, err error) {
	tr, err := p.openRaw(p.transport)
	if err != nil {
		return unpinned, err
	}
	defer tr.Close()
	client, err := p.rawClient(tr)
	if err != nil {
		return unpinned, err
	}
	server, err := client.Statistics(ctx)
	if errors.Is(err, raw.ErrNoAnswer) {
		return unpinned, p.target.unanswered(tr.Caps().Backend, "--raw ", err)
	}
	return server.PinnedTo, err
}

// withoutEngine measures raw datagrams.
func (p *perfCommand) withoutEngine(ctx context.Context) (result measure.Result, backend string, err error) {
	if p.cpu != unpinned {
		undo, err := affinity.Pin(p.cpu)
		if err != nil {
			return result, "", fmt.Errorf("--cpu: %w", err)
		}
		defer undo()
	}
	tr, err := p.openRaw(p.transport)
	if err != nil {
		return result, "", err
	}
	defer tr.Close()
	release, err := bindRaw(tr, p.cpu)
	if err != nil {
		return result, "", err
	}
	defer release()
	backend = tr.Caps().Backend
	client, err := p.rawClient(tr)
	if err != nil {
		return result, backend, err
	}
	l := raw.Load{
		Size: int(p.size), Window: p.window, Warmup: p.warmup, Duration: p.duration,
		Spin: p.spin(), SampleEvery: p.sampleEvery(),
	}
	if p.mode == "upload" {
		if l.Size == 0 {
			l.Size = min(rawBulk, tr.Caps().MaxPayload)
		}
		p.size = byteSize(l.Size)
		result, err = client.Bulk(ctx, l)
	} else {
		result, err = client.Echo(ctx, l)
	}
	return result, backend, err
}

func (p *perfCommand) rawClient(tr transport.Transport) (*raw.Client, error) {
	client, err := raw.NewClient(tr, p.target.addr())
	if err == nil && p.patience != 0 {
		client.Patience = p.patience
	}
	return client, err
}
