package peregrine_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/transport"
)

// dialMem is a session to an echo server in the same process, without control: what
// is measured is the way of a call.
// Both sides have the options.
func dialMem(b *testing.B, options ...peregrine.Option) *peregrine.Session {
	options = append(options, peregrine.WithCongestionControl("none"))
	server, err := peregrine.Listen("mem://127.0.0.1:0", options...)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, server.Close()) })
	require.NoError(b, server.Handle(1, func(r peregrine.Request) { r.Reply(r.Data()) }))
	s, err := peregrine.Dial(b.Context(), server.Addr().String(), append(options, peregrine.WithTransport("mem://"))...)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	return s
}

// inFlight is how many calls are under way at a time.
const inFlight = 64

// Small calls in the continuation form.
func BenchmarkSubmit(b *testing.B) { submitMany(b, dialMem(b), inFlight) }

// What it costs to be watched: the same by what watches both sides, and one at a time.
func BenchmarkWatched(b *testing.B) {
	captured := func(o transport.CaptureOptions) peregrine.Option {
		return peregrine.WithDecorator(func(_ int, inner transport.Transport) transport.Transport {
			c := transport.NewCapture(inner, o)
			stop, stopped := make(chan struct{}), make(chan struct{})
			b.Cleanup(func() { close(stop); <-stopped })
			go func() {
				defer close(stopped)
				for {
					select {
					case <-c.Ready():
						c.Read(func(*transport.Frame) {})
					case <-stop:
						return
					}
				}
			}()
			return c
		})
	}
	for _, w := range []struct {
		by      string
		options []peregrine.Option
	}{
		{"nothing", nil},
		{"metrics", []peregrine.Option{peregrine.WithMetrics()}},
		{"recorder", []peregrine.Option{peregrine.WithFlightRecorder(peregrine.FlightRecorder{})}},
		{"capture", []peregrine.Option{captured(transport.CaptureOptions{Snap: 128})}},
		{"sample", []peregrine.Option{captured(transport.CaptureOptions{Snap: 128, Every: 10})}},
	} {
		b.Run(w.by+"/many", func(b *testing.B) { submitMany(b, dialMem(b, w.options...), inFlight) })
		b.Run(w.by+"/alone", func(b *testing.B) { submitMany(b, dialMem(b, w.options...), 1) })
	}
}

func submitMany(b *testing.B, s *peregrine.Session, inFlight int) {
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
