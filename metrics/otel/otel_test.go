package otel_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/metrics"
	"github.com/peregrine-rpc/peregrine/metrics/otel"
	_ "github.com/peregrine-rpc/peregrine/transport/mem"
)

// patient is for hosts that are busy with something else.
var patient = peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})

// talk makes one call that succeeds and one that fails, traced.
func talk(t *testing.T) (server *peregrine.Endpoint, spans tracetest.SpanStubs) {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	options := append(otel.Tracing(provider, map[uint16]string{1: "echo"}), patient, peregrine.WithMetrics())
	server, err := peregrine.Listen("mem://127.0.0.1:0", append(options,
		peregrine.WithHandler(1, func(r peregrine.Request) { r.Reply(r.Data()) }),
		peregrine.WithHandler(2, func(r peregrine.Request) { r.Fail(peregrine.NotFound, "no such key") }))...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := peregrine.Dial(ctx, server.Addr().String(), append(options, peregrine.WithTransport("mem://127.0.0.1:0"))...)
	require.NoError(t, err)
	ctx, parent := provider.Tracer("test").Start(ctx, "parent")
	_, err = s.Call(ctx, 1, []byte("hello"), nil)
	require.NoError(t, err)
	_, err = s.Call(ctx, 2, nil, nil)
	require.Error(t, err)
	parent.End()
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.Eventually(t, func() bool { return len(exporter.GetSpans()) == 5 }, time.Minute, time.Millisecond, "a handler's span ends after its answer")
	return server, exporter.GetSpans()
}

func TestCallsAndHandlersAreSpans(t *testing.T) {
	t.Parallel()
	_, spans := talk(t)
	find := func(name string, kind trace.SpanKind) tracetest.SpanStub {
		for _, s := range spans {
			if s.Name == name && s.SpanKind == kind {
				return s
			}
		}
		require.Fail(t, name)
		return tracetest.SpanStub{}
	}
	parent := find("parent", trace.SpanKindInternal)
	call := find("peregrine/echo", trace.SpanKindClient)
	require.Equal(t, parent.SpanContext.SpanID(), call.Parent.SpanID())
	require.Contains(t, call.Attributes, attribute.String("rpc.method", "echo"))
	require.Contains(t, call.Attributes, attribute.String("rpc.response.status_code", "OK"))
	require.Contains(t, call.Attributes, attribute.Int("rpc.response.size", 5))
	failed := find("peregrine/2", trace.SpanKindClient)
	require.Equal(t, codes.Error, failed.Status.Code)
	require.Contains(t, failed.Attributes, attribute.String("error.type", "NOT_FOUND"))
	handled := find("peregrine/echo", trace.SpanKindServer)
	require.False(t, handled.Parent.IsValid(), "the wire has no place for it")
	require.Contains(t, handled.Attributes, attribute.Int("rpc.request.size", 5))
}

func TestAReaderGetsTheMetrics(t *testing.T) {
	t.Parallel()
	server, _ := talk(t)
	reader := sdkmetric.NewManualReader(sdkmetric.WithProducer(otel.NewProducer(metrics.Source{Endpoint: server})))
	_ = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	var all metricdata.ResourceMetrics
	for reader.Collect(context.Background(), &all) != nil { // a loop that is not scheduled for long
	}
	require.Len(t, all.ScopeMetrics, 1)
	byName := map[string]metricdata.Metrics{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		byName[m.Name] = m
	}
	h := byName["rpc.server.call.duration"]
	require.Equal(t, "s", h.Unit)
	points := h.Data.(metricdata.Histogram[float64]).DataPoints
	require.Len(t, points, 2)
	for _, p := range points {
		total := uint64(0)
		for _, n := range p.BucketCounts {
			total += n
		}
		require.Equal(t, uint64(1), total)
		require.Equal(t, uint64(1), p.Count)
		require.Len(t, p.BucketCounts, len(p.Bounds)+1)
	}
	calls := byName["peregrine.calls"].Data.(metricdata.Sum[float64])
	require.True(t, calls.IsMonotonic)
	require.Len(t, calls.DataPoints, 2)
	require.NotEmpty(t, byName["peregrine.peer.rtt"].Data.(metricdata.Gauge[float64]).DataPoints)
}

func TestStreamsAreSpans(t *testing.T) {
	t.Parallel()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	options := append(otel.Tracing(provider, nil), patient)
	server, err := peregrine.Listen("mem://127.0.0.1:0", options...)
	require.NoError(t, err)
	defer server.Close()
	require.NoError(t, server.HandleStreamName("news", func(*peregrine.Stream) error {
		return &peregrine.Error{Code: peregrine.NotFound, Message: "none today"}
	}))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := peregrine.Dial(ctx, server.Addr().String(), append(options, peregrine.WithTransport("mem://127.0.0.1:0"))...)
	require.NoError(t, err)
	defer s.Close()
	st, err := s.Method("news").Stream(ctx, nil)
	require.NoError(t, err)
	_, err = st.Recv(nil)
	require.Error(t, err)
	_, err = s.Method("olds").Stream(ctx, nil)
	require.Error(t, err)
	require.Eventually(t, func() bool { return len(exporter.GetSpans()) == 3 }, time.Minute, time.Millisecond)
	kinds := map[trace.SpanKind]int{}
	for _, span := range exporter.GetSpans() {
		require.Contains(t, []string{"peregrine/news", "peregrine/olds"}, span.Name)
		require.Equal(t, codes.Error, span.Status.Code)
		kinds[span.SpanKind]++
	}
	require.Equal(t, map[trace.SpanKind]int{trace.SpanKindClient: 2, trace.SpanKindServer: 1}, kinds)
}
