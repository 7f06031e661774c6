package pgrpc_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionalpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	"github.com/peregrine-rpc/peregrine"
	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
)

// The health service serves Check and Watch, and a watcher hears of changes.
func TestHealth(t *testing.T) {
	t.Parallel()
	h := health.NewServer()
	w := newWorld(t, settings{more: func(to grpc.ServiceRegistrar) { healthpb.RegisterHealthServer(to, h) }})
	w.overPeregrine()
	client := healthpb.NewHealthClient(w.conn)
	ctx := within(t, time.Minute)
	_, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: "test.Service"})
	require.Equal(t, codes.NotFound, status.Code(err))
	watch, err := client.Watch(ctx, &healthpb.HealthCheckRequest{Service: "test.Service"})
	require.NoError(t, err)
	for _, want := range []healthpb.HealthCheckResponse_ServingStatus{
		healthpb.HealthCheckResponse_SERVICE_UNKNOWN, healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING,
	} {
		if want != healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
			h.SetServingStatus("test.Service", want)
		}
		heard, err := watch.Recv()
		require.NoError(t, err)
		require.Equal(t, want, heard.Status)
	}
	told, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: "test.Service"})
	require.NoError(t, err)
	require.Equal(t, healthpb.HealthCheckResponse_NOT_SERVING, told.Status)
}

// Both versions of reflection list the services.
func TestReflection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{more: func(to grpc.ServiceRegistrar) { reflection.Register(to.(*pgrpc.Server)) }})
	w.overPeregrine()
	all := []string{"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection", "test.Service"}

	stream, err := reflectionpb.NewServerReflectionClient(w.conn).ServerReflectionInfo(within(t, time.Minute))
	require.NoError(t, err)
	require.NoError(t, stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}))
	reply, err := stream.Recv()
	require.NoError(t, err)
	var names []string
	for _, s := range reply.GetListServicesResponse().Service {
		names = append(names, s.Name)
	}
	require.Equal(t, all, names)
	require.NoError(t, stream.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: all[0]},
	}))
	reply, err = stream.Recv()
	require.NoError(t, err)
	require.NotEmpty(t, reply.GetFileDescriptorResponse().FileDescriptorProto)
	require.NoError(t, stream.CloseSend())
	_, err = stream.Recv()
	require.Equal(t, io.EOF, err)

	alpha, err := reflectionalpha.NewServerReflectionClient(w.conn).ServerReflectionInfo(within(t, time.Minute))
	require.NoError(t, err)
	require.NoError(t, alpha.Send(&reflectionalpha.ServerReflectionRequest{MessageRequest: &reflectionalpha.ServerReflectionRequest_ListServices{}}))
	old, err := alpha.Recv()
	require.NoError(t, err)
	require.Len(t, old.GetListServicesResponse().Service, len(all))
}

// otelgrpc's handlers make a span at each side, the server's within the client's.
func TestSpansOfOTelGRPC(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	with := []otelgrpc.Option{otelgrpc.WithTracerProvider(provider), otelgrpc.WithPropagators(propagator{})}
	w := newWorld(t, settings{})
	server := pgrpc.NewServer(pgrpc.StatsHandler(otelgrpc.NewServerHandler(with...)))
	w.register(server)
	endpoint, err := server.Listen("udp://127.0.0.1:0", patient)
	require.NoError(t, err)
	defer server.Stop()
	conn, err := pgrpc.NewClient(endpoint.Addr().String(), pgrpc.WithEngine(patient), pgrpc.WithStatsHandler(otelgrpc.NewClientHandler(with...)))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.Invoke(within(t, time.Minute), unary, word("x"), new(text)))
	cs, err := conn.NewStream(within(t, time.Minute), bidiDesc, bidi)
	require.NoError(t, err)
	require.NoError(t, cs.CloseSend())
	require.Equal(t, io.EOF, cs.RecvMsg(new(text)))
	server.GracefulStop()
	ended := spans.Ended()
	require.Len(t, ended, 4)
	children := 0
	for _, s := range ended {
		require.Contains(t, s.Name(), "test.Service/")
		if s.Parent().IsValid() {
			children++
		}
	}
	require.Equal(t, 2, children)
}

// While a server waits for its last calls it opens no further endpoint, which nothing
// would stop.
func TestNobodyListensWhileTheServerStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	running, release := make(chan struct{}), make(chan struct{})
	w.unary = func(context.Context, *text) (*text, error) {
		close(running)
		<-release
		return word("late"), nil
	}
	server := pgrpc.NewServer()
	w.register(server)
	endpoint, err := server.Listen("udp://127.0.0.1:0", patient)
	require.NoError(t, err)
	conn, err := pgrpc.NewClient(endpoint.Addr().String(), pgrpc.WithEngine(patient))
	require.NoError(t, err)
	defer conn.Close()
	answered := make(chan error, 1)
	go func() { answered <- conn.Invoke(within(t, time.Minute), unary, word("x"), new(text)) }()
	<-running
	stopped := make(chan struct{})
	go func() {
		server.GracefulStop()
		close(stopped)
	}()
	require.Eventually(t, func() bool {
		late, err := server.Listen("udp://127.0.0.1:0")
		if err == nil {
			require.NoError(t, late.Close()) // GracefulStop has not begun
		}
		return errors.Is(err, grpc.ErrServerStopped)
	}, 10*time.Second, time.Millisecond)
	close(release)
	require.NoError(t, <-answered)
	<-stopped
}

// A handler that panics fails its own call, and its server goes on.
func TestAHandlerThatPanicsFailsItsOwnCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	w.unary = func(_ context.Context, in *text) (*text, error) {
		if in.Value == "panic" {
			panic("oh")
		}
		return in, nil
	}
	w.serve(func(grpc.ServerStream) error { panic("oh") })
	w.overPeregrine()
	for range 3 {
		err := w.conn.Invoke(within(t, time.Minute), unary, word("panic"), new(text))
		require.Equal(t, status.Error(codes.Internal, "handler panicked"), err)
		cs, err := w.conn.NewStream(within(t, time.Minute), bidiDesc, bidi)
		require.NoError(t, err)
		require.Equal(t, status.Error(codes.Internal, "handler panicked"), cs.RecvMsg(new(text)))
		require.NoError(t, w.conn.Invoke(within(t, time.Minute), unary, word("x"), new(text)))
	}
	w.gracefulStop()
}

// Where no server is, calls and streams fail with Unavailable, unless they wait for one;
// and go on when it comes.
func TestWaitForReady(t *testing.T) {
	t.Parallel()
	first := pgrpc.NewServer()
	endpoint, err := first.Listen("udp://127.0.0.1:0", patient)
	require.NoError(t, err)
	addr := endpoint.Addr().String()
	first.Stop()

	conn, err := pgrpc.NewClient(addr, pgrpc.WithEngine(patient))
	require.NoError(t, err)
	defer conn.Close()
	err = conn.Invoke(within(t, time.Minute), unary, word("x"), new(text))
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Eventually(t, func() bool { return conn.GetState() == connectivity.TransientFailure }, time.Minute, time.Millisecond)
	_, err = conn.NewStream(within(t, time.Minute), bidiDesc, bidi)
	require.Equal(t, codes.Unavailable, status.Code(err))

	short, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	err = conn.Invoke(short, unary, word("x"), new(text), grpc.WaitForReady(true))
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))
	short, cancel = context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err = conn.NewStream(short, bidiDesc, bidi, grpc.WaitForReady(true))
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))

	waited := make(chan error, 2)
	go func() {
		waited <- conn.Invoke(within(t, time.Minute), unary, word("x"), new(text), grpc.WaitForReady(true))
	}()
	go func() {
		cs, err := conn.NewStream(within(t, time.Minute), bidiDesc, bidi, grpc.WaitForReady(true))
		if err == nil {
			err = cs.SendMsg(word("x"))
		}
		if err == nil {
			err = cs.RecvMsg(new(text))
		}
		waited <- err
	}()
	w := newWorld(t, settings{})
	second := pgrpc.NewServer()
	w.register(second)
	_, err = second.Listen("udp://"+addr, patient)
	require.NoError(t, err)
	defer second.Stop()
	require.NoError(t, <-waited)
	require.NoError(t, <-waited)
	require.Equal(t, connectivity.Ready, conn.GetState())
	require.Equal(t, addr, conn.Target())
}

// How a stream ended before the connection was lost is told by RecvMsg, also to who gets
// the stream only then.
func TestAStreamOfALostConnectionEndsAsItDid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	w.serve(func(grpc.ServerStream) error { return status.Error(codes.NotFound, "none of these") })
	server := pgrpc.NewServer()
	w.register(server)
	endpoint, err := server.Listen("udp://127.0.0.1:0")
	require.NoError(t, err)
	defer server.Stop()
	var conn *pgrpc.ClientConn
	conn, err = pgrpc.NewClient(endpoint.Addr().String(), pgrpc.WithEngine(peregrine.WithStreamInterceptor(func(next peregrine.StreamFunc) peregrine.StreamFunc {
		return func(ctx context.Context, m peregrine.Method, header []byte) (*peregrine.Stream, error) {
			stream, err := next(ctx, m, header)
			if err != nil {
				return nil, err
			}
			ended := make(chan struct{})
			stream.OnEnd(func(error) { close(ended) })
			<-ended
			server.Stop()
			for state := conn.GetState(); state != connectivity.TransientFailure; state = conn.GetState() {
				conn.Connect()
				conn.WaitForStateChange(ctx, state)
			}
			return stream, nil
		}
	})))
	require.NoError(t, err)
	defer conn.Close()
	cs, err := conn.NewStream(within(t, time.Minute), bidiDesc, bidi)
	require.NoError(t, err)
	require.Equal(t, status.Error(codes.NotFound, "none of these"), cs.RecvMsg(new(text)))
}

// A handler chooses how its messages are compressed, among what its client takes.
func TestAHandlerChoosesACompressor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{stats: true})
	w.unary = func(ctx context.Context, in *text) (*text, error) {
		takes, err := pgrpc.ClientSupportedCompressors(ctx)
		w.note("handler", "%v %v", takes, err)
		w.note("handler", "%v", pgrpc.SetSendCompressor(ctx, "none"))
		w.note("handler", "%v", pgrpc.SetSendCompressor(ctx, "mirror"))
		w.note("handler", "%v", pgrpc.SetSendCompressor(ctx, in.Value))
		grpc.SendHeader(ctx, nil)
		w.note("handler", "%v", pgrpc.SetSendCompressor(ctx, "gzip"))
		return word(strings.Repeat("x", 1000)), nil
	}
	w.overPeregrine()
	var header metadata.MD
	out := new(text)
	require.NoError(t, w.conn.Invoke(within(t, time.Minute), unary, word("gzip"), out, grpc.Header(&header)))
	require.Len(t, out.Value, 1000)
	require.NoError(t, w.conn.Invoke(within(t, time.Minute), unary, word("identity"), out))
	require.Len(t, out.Value, 1000)
	require.Equal(t, []string{
		"[gzip] <nil>", `unable to set send compressor: compressor not registered "none"`,
		`unable to set send compressor: client does not support compressor "mirror"`, "<nil>",
		"transport: set send compressor called after headers sent or stream done",
	}, w.saw["handler"][:5])
	require.Contains(t, w.saw["client stats arrived"][0], `compression="gzip"`)
	require.Error(t, pgrpc.SetSendCompressor(context.Background(), "gzip"))
	_, err := pgrpc.ClientSupportedCompressors(context.Background())
	require.Error(t, err)
}

// What cannot be served is told where it is written; and a server that has stopped does
// not listen.
func TestMistakesAtRegistration(t *testing.T) {
	t.Parallel()
	server := pgrpc.NewServer()
	require.PanicsWithValue(t, "pgrpc: RegisterService of grpc.health.v1.Health: int does not implement grpc_health_v1.HealthServer", func() {
		server.RegisterService(&healthpb.Health_ServiceDesc, 7)
	})
	healthpb.RegisterHealthServer(server, health.NewServer())
	require.Panics(t, func() { healthpb.RegisterHealthServer(server, health.NewServer()) })
	info := server.GetServiceInfo()["grpc.health.v1.Health"]
	require.Equal(t, "Check", info.Methods[0].Name)
	_, err := server.Listen("udp://127.0.0.1:0")
	require.NoError(t, err)
	require.Panics(t, func() { reflection.Register(server) })
	served := make(chan error, 1)
	go func() { served <- server.Serve("udp://127.0.0.1:0") }()
	server.Stop()
	server.Stop()
	_, err = server.Listen("udp://127.0.0.1:0")
	require.ErrorIs(t, err, grpc.ErrServerStopped)
	if err := <-served; err != nil {
		require.ErrorIs(t, err, grpc.ErrServerStopped)
	}
	_, err = pgrpc.NewServer().Listen("nowhere://")
	require.Error(t, err)
	require.Error(t, pgrpc.NewServer().Serve("nowhere://"))
	_, err = pgrpc.NewClient("no address")
	require.Error(t, err)
}

// Connections over sessions of one endpoint share it.
func TestConnectionsOverSessionsOfAnEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	server := pgrpc.NewServer()
	w.register(server)
	endpoint, err := server.Listen("udp://127.0.0.1:0", patient)
	require.NoError(t, err)
	defer server.Stop()
	client, err := peregrine.Listen("udp://127.0.0.1:0", patient, peregrine.WithConfig(peregrine.Config{ClientOnly: true}))
	require.NoError(t, err)
	defer client.Close()
	for range 3 {
		session, err := client.Dial(within(t, time.Minute), endpoint.Addr().String())
		require.NoError(t, err)
		conn := pgrpc.NewConn(session, pgrpc.WithUserAgent("mine"), pgrpc.WithAuthority("there"))
		require.Same(t, session, conn.Session())
		require.NoError(t, conn.Invoke(within(t, time.Minute), unary, word("x"), new(text)))
		require.NoError(t, conn.Close())
		require.True(t, errors.Is(conn.Close(), status.Error(codes.Canceled, "grpc: the client connection is closing")))
	}
}

func TestATargetThatNamesAResolverIsToldWhatToWrite(t *testing.T) {
	t.Parallel()
	_, err := pgrpc.NewClient("dns:///localhost:50051")
	require.ErrorContains(t, err, `write "localhost:50051"`)
}
