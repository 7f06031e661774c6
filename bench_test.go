package peregrine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

// dialMem is a session to an echo server in the same process, without control: what
// is measured is the way of a call.
func dialMem(b *testing.B) *peregrine.Session {
	none := peregrine.WithCongestionControl("none")
	server, err := peregrine.Listen("mem://127.0.0.1:0", none)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, server.Close()) })
	require.NoError(b, server.Handle(1, func(r peregrine.Request) { r.Reply(r.Data()) }))
	s, err := peregrine.Dial(b.Context(), server.Addr().String(), peregrine.WithTransport("mem://"), none)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	return s
}

// inFlight is how many calls are under way at a time.
const inFlight = 64

// Small calls in the continuation form.
func BenchmarkSubmit(b *testing.B) {
	s := dialMem(b)
	b.ReportAllocs()
	b.ResetTimer()
	finished := make(chan error, 1)
	s.Loop(func() {
		started, left := 0, b.N
		done := func(c *peregrine.Call) {
			left--
			switch {
			case c.Err != nil:
				finished <- c.Err
			case left == 0:
				finished <- nil
			case started < b.N:
				started++
				s.Submit(c)
			}
		}
		for started < min(inFlight, b.N) {
			started++
			s.Submit(&peregrine.Call{Method: 1, Request: make([]byte, 32), Buf: make([]byte, 32), Done: done})
		}
	})
	require.NoError(b, <-finished)
}

// Small calls that block a goroutine each.
func BenchmarkCall(b *testing.B) {
	s := dialMem(b)
	b.ReportAllocs()
	b.ResetTimer()
	ctx, finished := context.Background(), make(chan error)
	for i := range inFlight {
		go func() {
			request, buf := make([]byte, 32), make([]byte, 32)
			for range b.N/inFlight + min(1, max(0, b.N%inFlight-i)) {
				if reply, err := s.Call(ctx, 1, request, buf); err != nil || len(reply) != len(request) {
					finished <- fmt.Errorf("%d bytes, %w", len(reply), err)
					return
				}
			}
			finished <- nil
		}()
	}
	for range inFlight {
		require.NoError(b, <-finished)
	}
}
