package peregrine_test

import (
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
	submit(b, s, 1, b.N)
}

// Small calls that block a goroutine each.
func BenchmarkCall(b *testing.B) {
	s := dialMem(b)
	b.ReportAllocs()
	b.ResetTimer()
	call(b, s, b.N)
}
