package peregrine_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine"
)

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// A trace goes with calls and streams from one host to the next, under the contexts that
// handlers have; Go and Submit, which have no context, take it in the Call.
func TestATraceCrossesTheWire(t *testing.T) {
	t.Parallel()
	want, err := peregrine.ParseTrace(traceparent)
	require.NoError(t, err)
	own := want
	own.SpanID[0]++
	type seen struct {
		at    string
		trace peregrine.Trace
	}
	told := make(chan seen, 100)
	patient := peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})
	last, err := peregrine.Listen("udp://127.0.0.1:0", patient, peregrine.WithHandler(1, func(r peregrine.Request) {
		told <- seen{"last", r.Trace()}
		r.Reply(nil)
	}))
	require.NoError(t, err)
	defer last.Close()
	middle, err := peregrine.Listen("udp://127.0.0.1:0", patient)
	require.NoError(t, err)
	defer middle.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	onward, err := middle.Dial(ctx, last.Addr().String())
	require.NoError(t, err)
	require.NoError(t, middle.Handle(1, func(r peregrine.Request) { // inline, and answered later
		told <- seen{"inline", r.Trace()}
		r.SetTrace(own)
		d := r.Defer()
		told <- seen{"deferred", d.Trace()}
		go func() {
			_, err := onward.Call(d.Context(), 1, nil, nil)
			d.Reply([]byte(peregrine.CodeOf(err).String()))
		}()
	}))
	require.NoError(t, middle.Handle(2, func(r peregrine.Request) {
		told <- seen{"elsewhere", r.Trace()}
		_, err := onward.Call(r.Context(), 1, nil, nil)
		r.Reply([]byte(peregrine.CodeOf(err).String()))
	}, peregrine.Go(10)))
	require.NoError(t, middle.HandleStream(3, func(st *peregrine.Stream) error {
		told <- seen{"stream", st.Trace()}
		_, err := onward.Call(st.Context(), 1, nil, nil)
		return err
	}))
	s, err := peregrine.Dial(ctx, middle.Addr().String(), patient)
	require.NoError(t, err)
	defer s.Close()
	next := func(at string, trace peregrine.Trace) {
		t.Helper()
		select {
		case got := <-told:
			require.Equal(t, seen{at, trace}, got)
		case <-ctx.Done():
			require.Fail(t, "nothing was told", at)
		}
	}
	call := func(ctx context.Context, method uint16) {
		t.Helper()
		answer, err := s.Call(ctx, method, nil, nil)
		require.NoError(t, err)
		require.Equal(t, "OK", string(answer))
	}
	traced := peregrine.WaitForReady(peregrine.ContextWithTrace(ctx, want))
	require.Equal(t, want, peregrine.TraceFromContext(traced))

	call(traced, 1)
	next("inline", want)
	next("deferred", own)
	next("last", own)
	call(traced, 2)
	next("elsewhere", want)
	next("last", want)
	st, err := s.Stream(traced, 3, nil)
	require.NoError(t, err)
	require.Equal(t, want, st.Trace())
	_, err = st.Recv(nil)
	require.ErrorIs(t, err, io.EOF)
	next("stream", want)
	next("last", want)
	done := make(chan error, 1)
	s.Go(&peregrine.Call{Method: 2, Trace: &want, Done: func(c *peregrine.Call) { done <- c.Err }})
	require.NoError(t, <-done)
	next("elsewhere", want)
	next("last", want)

	// The next call of the same session knows nothing of it.
	call(peregrine.ContextWithTrace(traced, peregrine.Trace{}), 2)
	next("elsewhere", peregrine.Trace{})
	next("last", peregrine.Trace{})
}

func TestATraceOfNoneIsNone(t *testing.T) {
	t.Parallel()
	_, err := peregrine.ParseTrace("00-no-trace-00")
	require.ErrorContains(t, err, "traceparent")
	ctx := context.Background()
	require.Zero(t, peregrine.TraceFromContext(ctx))
	require.Zero(t, peregrine.TraceFromContext(peregrine.ContextWithTrace(ctx, peregrine.Trace{Flags: 1})))
}
