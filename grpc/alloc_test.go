package pgrpc_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// A unary call costs few allocations in all: client, engine, server and the messages.
func TestAllocationsOfAUnaryCall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	w := newWorld(t, settings{})
	reply := word("hello")
	w.unary = func(context.Context, *text) (*text, error) { return reply, nil }
	w.overPeregrine()
	in, ctx := word("you"), context.Background()
	call := func() {
		if err := w.conn.Invoke(ctx, unary, in, new(text)); err != nil {
			t.Error(err)
		}
	}
	for range 100 {
		call()
	}
	allocs := testing.AllocsPerRun(2000, call)
	t.Logf("%v allocations", allocs)
	require.LessOrEqual(t, allocs, 16.0) // 14 when it was written, two of them of this service
}
