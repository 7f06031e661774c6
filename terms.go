package peregrine

import (
	"context"

	"github.com/peregrine-rpc/peregrine/wire"
)

// terms are what a context says of the calls and streams under it, beside its deadline.
type terms struct {
	ready bool
	trace *Trace // nil: none
}

type termsKey struct{}

func termsOf(ctx context.Context) terms {
	t, _ := ctx.Value(termsKey{}).(terms)
	return t
}

func (t terms) within(ctx context.Context) context.Context {
	return context.WithValue(ctx, termsKey{}, t)
}

// WaitForReady is ctx, under which calls and streams wait while their server cannot
// be reached, as those of all sessions do with [WithWaitForReady].
func WaitForReady(ctx context.Context) context.Context {
	t := termsOf(ctx)
	t.ready = true
	return t.within(ctx)
}

// ParseTrace reads a trace as HTTP's header traceparent says it.
func ParseTrace(traceparent string) (Trace, error) { return wire.ParseTrace(traceparent) }

// ContextWithTrace is ctx, under which calls and streams tell their servers what trace
// they are part of, as far as these read it: [Request.Trace] and [Stream.Trace] say it
// there. The zero Trace, and any other that is not valid, ends that.
func ContextWithTrace(ctx context.Context, trace Trace) context.Context {
	t := termsOf(ctx)
	t.trace = nil
	if trace.IsValid() {
		t.trace = &trace
	}
	return t.within(ctx)
}

// TraceFromContext is the trace that calls and streams under ctx tell of; the zero Trace
// is none.
func TraceFromContext(ctx context.Context) Trace {
	if trace := termsOf(ctx).trace; trace != nil {
		return *trace
	}
	return Trace{}
}
