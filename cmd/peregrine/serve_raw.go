package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/raw"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
)

// runRaw echoes datagrams on a transport of its own until ctx ends.
func (s *serveCommand) runRaw(ctx context.Context) error {
	if s.cpu != unpinned {
		undo, err := affinity.Pin(s.cpu)
		if err != nil {
			return fmt.Errorf("--cpu: %w", err)
		}
		defer undo()
	}
	tr, err := s.openRaw(s.url)
	if err != nil {
		return fmt.Errorf("cannot serve: %w", err)
	}
	release, err := bindRaw(tr, s.cpu)
	if err != nil {
		return errors.Join(fmt.Errorf("cannot serve: %w", err), tr.Close())
	}
	defer release()
	server := raw.NewServer(tr, s.spin(), s.cpu)
	defer context.AfterFunc(ctx, server.Stop)()
	announce(s.out, tr.LocalAddr().String(), tr.Caps())

	err = server.Run()
	echoes, bulks, malformed := server.Counts()
	saved := s.json.Write(tr.Stats())
	fmt.Fprintf(s.out, "echoed %d datagrams, took %d of bulk, dropped %d malformed\n", echoes, bulks, malformed)
	return errors.Join(err, saved, tr.Close())
}
