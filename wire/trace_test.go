package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestATraceIsReadAsTraceContextSays(t *testing.T) {
	t.Parallel()
	trace, err := wire.ParseTrace(traceparent)
	require.NoError(t, err)
	require.True(t, trace.IsValid())
	require.Equal(t, traceparent, trace.String())
	require.EqualValues(t, 0x4b, trace.TraceID[0])
	require.EqualValues(t, 0xb7, trace.SpanID[7])
	require.EqualValues(t, 1, trace.Flags)

	later, err := wire.ParseTrace("cc" + traceparent[2:] + "-what-will-be")
	require.NoError(t, err, "of a version to come what is known is read")
	require.Equal(t, trace, later)
}

func TestWhatIsNoTraceparentIsRefused(t *testing.T) {
	t.Parallel()
	for why, text := range map[string]string{
		"empty":              "",
		"no version":         traceparent[3:],
		"a forbidden one":    "ff" + traceparent[2:],
		"cut":                traceparent[:54],
		"longer":             traceparent + "-00",
		"more of a later":    "01" + traceparent[2:] + "0",
		"upper case":         "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
		"no digits":          "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
		"a trace of zeros":   "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"a span of zeros":    "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"dashes out of line": "00-4bf92f3577b34da6a3ce929d0e0e47-3600f067aa0ba902b7-01",
	} {
		trace, err := wire.ParseTrace(text)
		require.ErrorIs(t, err, wire.ErrTrace, why)
		require.Zero(t, trace, why)
	}
}

// FuzzTrace checks that what is read as a traceparent says what it did, but for what a
// later version adds.
func FuzzTrace(f *testing.F) {
	f.Add(traceparent)
	f.Add("cc" + traceparent[2:] + "-x")
	f.Add(traceparent[:30])
	f.Fuzz(func(t *testing.T, text string) {
		trace, err := wire.ParseTrace(text)
		if err != nil {
			require.Zero(t, trace)
			return
		}
		require.True(t, trace.IsValid())
		require.Equal(t, text[2:len(traceparent)], trace.String()[2:])
	})
}
