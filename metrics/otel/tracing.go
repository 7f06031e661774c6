package otel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/metrics"
)

// Tracing makes a span of each [peregrine.Session.Call] and each stream that is opened,
// as a child of its context's, and of each handler that runs, as a child of its client's.
// methods names methods, as [metrics.Source] has it, and may be nil. A handler's span ends
// with the handler: of one that defers its answer it is not the whole request. What a
// handler calls under the context of its request, or stream, is part of its span. Go and
// Submit, which have no context, make none.
//
// The span's context crosses the wire, with its trace ID, ID and flags; its trace state does not.
func Tracing(provider trace.TracerProvider, methods map[uint16]string) []peregrine.Option {
	t := &tracing{provider.Tracer(scope), metrics.Source{Methods: methods}}
	return []peregrine.Option{
		peregrine.WithCallInterceptor(t.call), peregrine.WithHandlerInterceptor(t.handle),
		peregrine.WithStreamInterceptor(t.stream), peregrine.WithStreamHandlerInterceptor(t.handleStream),
	}
}

type tracing struct {
	trace.Tracer
	names metrics.Source
}

// begin starts a span by OpenTelemetry's conventions for RPC, of a method that is known
// by its name, or by its number if it has none.
//
// The context that it returns has the span, and has calls under it tell of it.
func (t *tracing) begin(ctx context.Context, kind trace.SpanKind, name string, number uint16, peer string) (context.Context, trace.Span) {
	if name == "" {
		name = t.names.MethodName(int(number))
	}
	if parent := peregrine.TraceFromContext(ctx); parent.IsValid() && !trace.SpanContextFromContext(ctx).IsValid() {
		// A handler's is its client's, and that of a call in a handler the handler's.
		ctx = trace.ContextWithSpanContext(ctx, spanContext(parent, kind == trace.SpanKindServer))
	}
	ctx, span := t.Start(ctx, "peregrine/"+name, trace.WithSpanKind(kind), trace.WithAttributes(
		attribute.String("rpc.system.name", "peregrine"), attribute.String("rpc.method", name), attribute.String("network.peer.address", peer)))
	return peregrine.ContextWithTrace(ctx, traceOf(span)), span
}

// spanContext is a trace, of another host or this one, as OpenTelemetry has it.
func spanContext(t peregrine.Trace, remote bool) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: t.TraceID, SpanID: t.SpanID, TraceFlags: trace.TraceFlags(t.Flags), Remote: remote})
}

// traceOf is what the wire says of a span.
func traceOf(span trace.Span) peregrine.Trace {
	c := span.SpanContext()
	return peregrine.Trace{TraceID: c.TraceID(), SpanID: c.SpanID(), Flags: uint8(c.TraceFlags())}
}

// end ends a span with what became of the call or stream.
func end(span trace.Span, err error) {
	code := metrics.CodeName(peregrine.CodeOf(err))
	span.SetAttributes(attribute.String("rpc.response.status_code", code))
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		span.SetAttributes(attribute.String("error.type", code))
	}
	span.End()
}

func (t *tracing) call(next peregrine.CallFunc) peregrine.CallFunc {
	return func(ctx context.Context, m peregrine.Method, request, buf []byte) ([]byte, error) {
		ctx, span := t.begin(ctx, trace.SpanKindClient, m.Name(), m.Number(), m.Session().Peer().String())
		response, err := next(ctx, m, request, buf)
		span.SetAttributes(attribute.Int("rpc.request.size", len(request)), attribute.Int("rpc.response.size", len(response)))
		end(span, err)
		return response, err
	}
}

func (t *tracing) handle(next peregrine.Handler) peregrine.Handler {
	return func(r peregrine.Request) {
		_, span := t.begin(peregrine.ContextWithTrace(context.Background(), r.Trace()), trace.SpanKindServer, r.Name(), r.Method(), r.Peer().String())
		r.SetTrace(traceOf(span))
		defer span.End()
		span.SetAttributes(attribute.Int("rpc.request.size", len(r.Data())))
		next(r)
	}
}

func (t *tracing) stream(next peregrine.StreamFunc) peregrine.StreamFunc {
	return func(ctx context.Context, m peregrine.Method, header []byte) (*peregrine.Stream, error) {
		ctx, span := t.begin(ctx, trace.SpanKindClient, m.Name(), m.Number(), m.Session().Peer().String())
		st, err := next(ctx, m, header)
		if err != nil {
			end(span, err)
			return nil, err
		}
		st.OnEnd(func(err error) { end(span, err) })
		return st, nil
	}
}

func (t *tracing) handleStream(next peregrine.StreamHandler) peregrine.StreamHandler {
	return func(st *peregrine.Stream) error {
		_, span := t.begin(peregrine.ContextWithTrace(context.Background(), st.Trace()), trace.SpanKindServer, st.Name(), st.Method(), st.Peer().String())
		st.SetTrace(traceOf(span))
		defer span.End() // also if it panics
		err := next(st)
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		return err
	}
}
