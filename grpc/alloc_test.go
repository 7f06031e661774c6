package pgrpc_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
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
	require.LessOrEqual(t, allocs, 11.0) // 9 when it was written, two of them of this service
}

// A message of a stream allocates nothing but what the receiver is given.
func TestAllocationsOfAStreamedMessage(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	w := newWorld(t, settings{})
	w.serve(func(s grpc.ServerStream) error {
		out := word("hello")
		for {
			if err := s.SendMsg(out); err != nil {
				return err
			}
		}
	})
	w.overPeregrine()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := w.conn.NewStream(ctx, bidiDesc, bidi)
	require.NoError(t, err)
	in := new(text)
	receive := func() {
		if err := s.RecvMsg(in); err != nil {
			t.Error(err)
		}
	}
	for range 5000 {
		receive()
	}
	allocs := testing.AllocsPerRun(50_000, receive)
	t.Logf("%v allocations", allocs)
	require.LessOrEqual(t, allocs, 2.0) // 1 when it was written, of the text
}
