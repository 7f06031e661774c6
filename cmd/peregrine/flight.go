package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/flight"
)

// complain tells of what went wrong beside what was asked for.
func complain(err error) { fmt.Fprintln(os.Stderr, "peregrine:", err) }

// saveAtSignal saves what happened at each signal that asks for it, until stop.
func (f *endpointFlags) saveAtSignal(e *peregrine.Endpoint) (stop func()) {
	if f.flight == "" || len(askSignals) == 0 {
		return func() {}
	}
	asked, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(asked, askSignals...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-asked:
				if err := f.save(e); err != nil {
					complain(err)
				}
			case <-over:
				return
			}
		}
	}()
	return func() {
		signal.Stop(asked)
		close(over)
		<-done
	}
}

// save saves what happened up to now.
func (f *endpointFlags) save(e *peregrine.Endpoint) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	r, err := flight.Take(ctx, e)
	if r == nil {
		return err
	}
	path, failed := r.Save(f.flight)
	if failed == nil {
		fmt.Fprintf(os.Stderr, "saved %s\n", path)
	}
	return errors.Join(err, failed)
}
