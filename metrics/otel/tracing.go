package otel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/metrics"
)

// Tracing makes a span of each [peregrine.Session.Call], as a child of its
// context's, and of each handler that runs. methods names methods, as
// [metrics.Source] has it, and may be nil. A handler's span ends with the handler:
// of one that defers its answer it is not the whole request. Go and Submit, which
// have no context, make none.
func Tracing(provider trace.TracerProvider, methods map[uint16]string) []peregrine.Option {
	t := &tracing{provider.Tracer(scope), metrics.Source{Methods: methods}}
	return []peregrine.Option{peregrine.WithCallInterceptor(t.call), peregrine.WithHandlerInterceptor(t.handle)}
}

type tracing struct {
	trace.Tracer
	names metrics.Source
}

// begin starts a span by OpenTelemetry's conventions for RPC.
func (t *tracing) begin(ctx context.Context, kind trace.SpanKind, name, peer string) (context.Context, trace.Span) {
	return t.Start(ctx, "peregrine/"+name, trace.WithSpanKind(kind), trace.WithAttributes(
		attribute.String("rpc.system.name", "peregrine"), attribute.String("rpc.method", name), attribute.String("network.peer.address", peer)))
}

func (t *tracing) call(next peregrine.CallFunc) peregrine.CallFunc {
	return func(ctx context.Context, m peregrine.Method, request, buf []byte) ([]byte, error) {
		name := m.Name()
		if name == "" {
			name = t.names.MethodName(int(m.Number()))
		}
		ctx, span := t.begin(ctx, trace.SpanKindClient, name, m.Session().Peer().String())
		defer span.End()
		response, err := next(ctx, m, request, buf)
		code := peregrine.CodeOf(err)
		span.SetAttributes(attribute.String("rpc.response.status_code", metrics.CodeName(code)),
			attribute.Int("rpc.request.size", len(request)), attribute.Int("rpc.response.size", len(response)))
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
			span.SetAttributes(attribute.String("error.type", metrics.CodeName(code)))
		}
		return response, err
	}
}

func (t *tracing) handle(next peregrine.Handler) peregrine.Handler {
	return func(r peregrine.Request) {
		name := r.Name()
		if name == "" {
			name = t.names.MethodName(int(r.Method()))
		}
		_, span := t.begin(context.Background(), trace.SpanKindServer, name, r.Peer().String())
		defer span.End()
		span.SetAttributes(attribute.Int("rpc.request.size", len(r.Data())))
		next(r)
	}
}
