package main

import (
	"context"
	"io"
)

// untilEOF returns a context that ends when in does: for a parent process, whose death
// closes it.
func untilEOF(ctx context.Context, in io.Reader) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	return ctx, cancel
}
