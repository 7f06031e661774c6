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
// as a child of its context's, and of each handler that runs. methods names methods, as
// [metrics.Source] has it, and may be nil. A handler's span ends with the handler: of
// one that defers its answer it is not the whole request. Go and Submit, which have no
// context, make none.
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
func (t *tracing) begin(ctx context.Context, kind trace.SpanKind, name string, number uint16, peer string) (context.Context, trace.Span) {
	if name == "" {
		name = t.names.MethodName(int(number))
	}
	return t.Start(ctx, "peregrine/"+name, trace.WithSpanKind(kind), trace.WithAttributes(
		attribute.String("rpc.system.name", "peregrine"), attribute.String("rpc.method", name), attribute.String("network.peer.address", peer)))
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
		_, span := t.begin(context.Background(), trace.SpanKindServer, r.Name(), r.Method(), r.Peer().String())
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
		_, span := t.begin(context.Background(), trace.SpanKindServer, st.Name(), st.Method(), st.Peer().String())
		defer span.End() // also if it panics
		err := next(st)
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		return err
	}
}
