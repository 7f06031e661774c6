package otel_test

import (
	"context"
	"io"
	"slices"
	"strings"
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
func talk(t *testing.T) (server *peregrine.Endpoint, spans tracetest.SpanStubs, exemplars *metrics.Exemplars) {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	exemplars = metrics.NewExemplars()
	options := slices.Concat(otel.Tracing(provider, map[uint16]string{1: "echo"}), exemplars.Options(), []peregrine.Option{patient, peregrine.WithMetrics()})
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
	return server, exporter.GetSpans(), exemplars
}

func TestCallsAndHandlersAreSpans(t *testing.T) {
	t.Parallel()
	_, spans, _ := talk(t)
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
	require.Equal(t, call.SpanContext.SpanID(), handled.Parent.SpanID(), "it crossed the wire")
	require.Equal(t, parent.SpanContext.TraceID(), handled.SpanContext.TraceID())
	require.True(t, handled.Parent.IsRemote())
	require.Contains(t, handled.Attributes, attribute.Int("rpc.request.size", 5))
}

func TestAReaderGetsTheMetrics(t *testing.T) {
	t.Parallel()
	server, spans, exemplars := talk(t)
	reader := sdkmetric.NewManualReader(sdkmetric.WithProducer(otel.NewProducer(metrics.Source{Endpoint: server, Exemplars: exemplars})))
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
		require.Len(t, p.Exemplars, 1)
		require.True(t, slices.ContainsFunc(spans, func(s tracetest.SpanStub) bool {
			id, trace := s.SpanContext.SpanID(), s.SpanContext.TraceID()
			return slices.Equal(id[:], p.Exemplars[0].SpanID) && slices.Equal(trace[:], p.Exemplars[0].TraceID)
		}), "it is a handler's span")
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

// The first of two servers asks the second, by a call and by a stream, at work for its
// own client: all of it is one trace, and each span is the child of who asked.
func TestATraceFollowsACallThroughServers(t *testing.T) {
	t.Parallel()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	options := append(otel.Tracing(provider, nil), patient)
	listen := func() *peregrine.Endpoint {
		e, err := peregrine.Listen("mem://127.0.0.1:0", options...)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, e.Close()) })
		return e
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	last, middle := listen(), listen()
	onward, err := middle.Dial(ctx, last.Addr().String())
	require.NoError(t, err)
	require.NoError(t, last.HandleName("last", func(r peregrine.Request) { r.Reply(nil) }))
	require.NoError(t, last.HandleStreamName("end", func(*peregrine.Stream) error { return nil }))
	require.NoError(t, middle.HandleName("middle", func(r peregrine.Request) {
		if _, err := onward.Method("last").Call(r.Context(), nil, nil); err != nil {
			r.Fail(peregrine.Internal, err.Error())
			return
		}
		st, err := onward.Method("end").Stream(r.Context(), nil)
		if err == nil {
			_, err = st.Recv(nil)
		}
		r.Reply([]byte(err.Error()))
	}, peregrine.Go(10)))
	require.NoError(t, middle.HandleStreamName("branch", func(st *peregrine.Stream) error {
		_, err := onward.Method("last").Call(st.Context(), nil, nil)
		return err
	}))
	client := listen()
	s, err := client.Dial(ctx, middle.Addr().String())
	require.NoError(t, err)
	ctx, root := provider.Tracer("test").Start(ctx, "root")
	answer, err := s.Method("middle").Call(ctx, nil, nil)
	require.NoError(t, err)
	require.Equal(t, "EOF", string(answer))
	st, err := s.Method("branch").Stream(ctx, nil)
	require.NoError(t, err)
	_, err = st.Recv(nil)
	require.ErrorIs(t, err, io.EOF)
	root.End()
	require.Eventually(t, func() bool { return len(exporter.GetSpans()) == 11 }, time.Minute, time.Millisecond)

	spans := map[trace.SpanID]tracetest.SpanStub{}
	for _, span := range exporter.GetSpans() {
		require.Equal(t, root.SpanContext().TraceID(), span.SpanContext.TraceID(), span.Name)
		require.Equal(t, span.SpanKind == trace.SpanKindServer, span.Parent.IsRemote(), span.Name)
		spans[span.SpanContext.SpanID()] = span
	}
	ways := map[string]int{}
	for _, span := range spans {
		way := span.Name
		for at := span; at.Parent.IsValid(); {
			at = spans[at.Parent.SpanID()]
			way = at.Name + " " + way
		}
		ways[strings.ReplaceAll(way, "peregrine/", "")]++
	}
	require.Equal(t, map[string]int{
		"root": 1, "root middle": 1, "root middle middle": 1, "root branch": 1, "root branch branch": 1,
		"root middle middle last": 1, "root middle middle last last": 1, "root middle middle end": 1, "root middle middle end end": 1,
		"root branch branch last": 1, "root branch branch last last": 1,
	}, ways)
}
