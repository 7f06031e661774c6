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
func (t *tracing) begin(ctx context.Context, kind trace.SpanKind, method uint16, peer string) (context.Context, trace.Span) {
	name := t.names.MethodName(int(method))
	return t.Start(ctx, "peregrine/"+name, trace.WithSpanKind(kind), trace.WithAttributes(
		attribute.String("rpc.system.name", "peregrine"), attribute.String("rpc.method", name), attribute.String("network.peer.address", peer)))
}

func (t *tracing) call(next peregrine.CallFunc) peregrine.CallFunc {
	return func(ctx context.Context, s *peregrine.Session, method uint16, request, buf []byte) ([]byte, error) {
		ctx, span := t.begin(ctx, trace.SpanKindClient, method, s.Peer().String())
		defer span.End()
		response, err := next(ctx, s, method, request, buf)
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
		_, span := t.begin(context.Background(), trace.SpanKindServer, r.Method(), r.Peer().String())
		defer span.End()
		span.SetAttributes(attribute.Int("rpc.request.size", len(r.Data())))
		next(r)
	}
}
