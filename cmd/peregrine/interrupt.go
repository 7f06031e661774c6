package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// interruption is the cause of a context that a signal ended.
type interruption struct{ signal os.Signal }

func (interruption) Error() string { return "interrupted" }

// interruptible returns a context that the first SIGINT or SIGTERM ends. A second
// one ends the program at once.
func interruptible() context.Context {
	ctx, end := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		caught := <-signals
		signal.Stop(signals)
		end(interruption{caught})
	}()
	return ctx
}

// exitCode is 2 for a command line that cannot be meant, 3 for problems that doctor
// found, 128 and the signal's number after an interrupt, as shells have it, and 1
// for all else that fails.
func exitCode(err error) int {
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		return 2
	}
	if found := ailing(0); errors.As(err, &found) {
		return exitAiling
	}
	var caught interruption
	if errors.As(err, &caught) {
		if number, ok := caught.signal.(syscall.Signal); ok {
			return 128 + int(number)
		}
	}
	return 1
}
