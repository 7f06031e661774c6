package pgrpc_test

import (
	"bytes"
	"context"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
	"github.com/peregrine-rpc/peregrine/grpc/bridge"
)

// interopCase is a client's case of gRPC's interop suite. It ends its process if it fails.
type interopCase func(ctx context.Context, conn grpc.ClientConnInterface)

// ofStub is a case that takes the generated stub, over any connection.
func ofStub(f func(context.Context, testpb.TestServiceClient, ...grpc.CallOption)) interopCase {
	return func(ctx context.Context, conn grpc.ClientConnInterface) { f(ctx, testpb.NewTestServiceClient(conn)) }
}

// interopCases are those of interop's client but for the ones of credentials, which ask
// Google for tokens, and of ORCA, whose reports a balancer takes in.
var interopCases = map[string]interopCase{
	"empty_unary":                 ofStub(interop.DoEmptyUnaryCall),
	"large_unary":                 ofStub(interop.DoLargeUnaryCall),
	"client_streaming":            ofStub(interop.DoClientStreaming),
	"server_streaming":            ofStub(interop.DoServerStreaming),
	"ping_pong":                   ofStub(interop.DoPingPong),
	"empty_stream":                ofStub(interop.DoEmptyStream),
	"timeout_on_sleeping_server":  ofStub(interop.DoTimeoutOnSleepingServer),
	"cancel_after_begin":          ofStub(interop.DoCancelAfterBegin),
	"cancel_after_first_response": ofStub(interop.DoCancelAfterFirstResponse),
	"custom_metadata":             ofStub(interop.DoCustomMetadata),
	"status_code_and_message":     ofStub(interop.DoStatusCodeAndMessage),
	"special_status_message":      ofStub(interop.DoSpecialStatusMessage),
	"unimplemented_service": func(ctx context.Context, conn grpc.ClientConnInterface) {
		interop.DoUnimplementedService(ctx, testpb.NewUnimplementedServiceClient(conn))
	},
	"unimplemented_method": unimplementedMethod,
	"soak":                 soak,
}

// unimplementedMethod is interop's, or where that would not take the connection, since it
// wants a *grpc.ClientConn, the same again.
func unimplementedMethod(ctx context.Context, conn grpc.ClientConnInterface) {
	if cc, is := conn.(*grpc.ClientConn); is {
		interop.DoUnimplementedMethod(ctx, cc)
		return
	}
	var request, reply proto.Message
	err := conn.Invoke(ctx, "/grpc.testing.TestService/UnimplementedCall", request, reply)
	if status.Code(err) != codes.Unimplemented {
		log.Fatalf("Invoke: %v, want Unimplemented", err)
	}
}

// soak is likewise interop's rpc_soak: many large calls at once, which all find the same
// peer.
func soak(ctx context.Context, conn grpc.ClientConnInterface) {
	const workers, each = 8, 4
	if cc, is := conn.(*grpc.ClientConn); is {
		interop.DoSoakTest(ctx, interop.SoakTestConfig{
			RequestSize: 271828, ResponseSize: 314159, PerIterationMaxAcceptableLatency: 5 * time.Minute, OverallTimeout: 5 * time.Minute,
			NumWorkers: workers, Iterations: workers * each,
			ChannelForTest: func() (*grpc.ClientConn, func()) { return cc, func() {} },
		})
		return
	}
	client := testpb.NewTestServiceClient(conn)
	ended := make(chan string, workers)
	for range workers {
		go func() {
			addr := ""
			for range each {
				var p peer.Peer
				interop.DoLargeUnaryCall(ctx, client, grpc.Peer(&p))
				if addr == "" {
					addr = p.Addr.String()
				}
				if p.Addr.String() != addr {
					log.Fatalf("the peer is %v, and was %v", p.Addr, addr)
				}
			}
			ended <- addr
		}()
	}
	addr := <-ended
	for range workers - 1 {
		if other := <-ended; other != addr {
			log.Fatalf("the peer is %v of one, and %v of another", addr, other)
		}
	}
}

// How the program of the test, run again, is told which case to run, and over what.
const (
	interopName = "PGRPC_INTEROP_CASE"
	interopOver = "PGRPC_INTEROP_OVER"
	interopAddr = "PGRPC_INTEROP_ADDR"
)

// TestInteropsClientCases runs each in a process of its own, over Peregrine, and from
// gRPC's own client through a bridge.
func TestInteropsClientCases(t *testing.T) {
	t.Parallel()
	if name := os.Getenv(interopName); name != "" {
		runInterop(t, interopCases[name], os.Getenv(interopOver), os.Getenv(interopAddr))
		return
	}
	server := pgrpc.NewServer()
	testpb.RegisterTestServiceServer(server, interop.NewTestServer())
	endpoint, err := server.Listen("udp://127.0.0.1:0", patient)
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	conn, err := pgrpc.NewClient(endpoint.Addr().String(), pgrpc.WithEngine(patient))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	front := httptest.NewUnstartedServer(bridge.Handler(conn, bridge.Options{}))
	front.Config.Protocols = bridge.Protocols()
	front.Start()
	t.Cleanup(front.Close)
	program, err := os.Executable()
	require.NoError(t, err)
	for over, addr := range map[string]string{"peregrine": endpoint.Addr().String(), "bridge": front.Listener.Addr().String()} {
		for name := range interopCases {
			t.Run(over+"/"+name, func(t *testing.T) {
				t.Parallel()
				client := exec.CommandContext(within(t, 10*time.Minute), program, "-test.run=^TestInteropsClientCases$", "-test.timeout=10m")
				client.Env = append(os.Environ(), interopName+"="+name, interopOver+"="+over, interopAddr+"="+addr)
				out, err := client.CombinedOutput()
				require.NoError(t, err, "%s", out)
				require.True(t, bytes.Contains(out, []byte("PASS")), "%s", out)
			})
		}
	}
}

// runInterop is the client's process.
func runInterop(t *testing.T, run interopCase, over, addr string) {
	if over == "bridge" {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		defer conn.Close()
		run(t.Context(), conn)
		return
	}
	conn, err := pgrpc.NewClient(addr, pgrpc.WithEngine(patient))
	require.NoError(t, err)
	defer conn.Close()
	run(t.Context(), conn)
}
