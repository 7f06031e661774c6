package pconnect_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/peregrine-rpc/peregrine"
	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
	"github.com/peregrine-rpc/peregrine/grpc/pconnect"
)

// The methods of gRPC's benchmark service, as connect knows them.
var (
	unary  = connect.Spec{Procedure: "/grpc.testing.BenchmarkService/UnaryCall", StreamType: connect.StreamTypeUnary}
	bidi   = connect.Spec{Procedure: "/grpc.testing.BenchmarkService/StreamingCall", StreamType: connect.StreamTypeBidi}
	up     = connect.Spec{Procedure: "/grpc.testing.BenchmarkService/StreamingFromClient", StreamType: connect.StreamTypeClient}
	down   = connect.Spec{Procedure: "/grpc.testing.BenchmarkService/StreamingFromServer", StreamType: connect.StreamTypeServer}
	absent = connect.Spec{Procedure: "/grpc.testing.BenchmarkService/None", StreamType: connect.StreamTypeUnary}
)

// services are all four methods: each answers with what it is sent, twice what goes down.
func services() *connect.Server {
	s := connect.NewServer()
	s.Register(
		connect.Method{Spec: unary, Handler: func(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
			info, _ := connect.CallInfoForServerContext(ctx)
			in := new(pb.SimpleRequest)
			if err := stream.Receive(in); err != nil {
				return err
			}
			info.ResponseTrailer().Add("Ending", "t")
			switch text(in) {
			case "told":
				detail, err := connectproto.NewErrorDetail(&errdetails.RequestInfo{RequestId: "7"})
				if err != nil {
					return err
				}
				return connect.NewError(connect.CodeNotFound, "no such thing").WithDetail(detail)
			case "private":
				return errors.New("the password is wrong")
			case "forwarded":
				return connect.NewError(connect.CodeNotFound, "elsewhere").WithRemote()
			}
			for _, key := range []string{"Told", "Told-Bin"} {
				info.ResponseHeader().SetValues(key, info.RequestHeader().Values(key))
			}
			return stream.Send(reply(text(in)))
		}},
		connect.Method{Spec: bidi, Handler: func(_ context.Context, _ connect.Spec, stream connect.ServerStream) error {
			if err := stream.SendHeaders(); err != nil {
				return err
			}
			for {
				in := new(pb.SimpleRequest)
				switch err := stream.Receive(in); {
				case errors.Is(err, io.EOF):
					return nil
				case err != nil:
					return err
				}
				if err := stream.Send(reply(text(in))); err != nil {
					return err
				}
			}
		}},
		connect.Method{Spec: up, Handler: func(_ context.Context, _ connect.Spec, stream connect.ServerStream) error {
			all := ""
			for {
				in := new(pb.SimpleRequest)
				switch err := stream.Receive(in); {
				case errors.Is(err, io.EOF):
					return stream.Send(reply(all))
				case err != nil:
					return err
				}
				all += text(in)
			}
		}},
		connect.Method{Spec: down, Handler: func(_ context.Context, _ connect.Spec, stream connect.ServerStream) error {
			in := new(pb.SimpleRequest)
			if err := stream.Receive(in); err != nil {
				return err
			}
			return errors.Join(stream.Send(reply(text(in))), stream.Send(reply(text(in))))
		}},
	)
	return s
}

func request(text string) *pb.SimpleRequest {
	return &pb.SimpleRequest{Payload: &pb.Payload{Body: []byte(text)}}
}

func reply(text string) *pb.SimpleResponse {
	return &pb.SimpleResponse{Payload: &pb.Payload{Body: []byte(text)}}
}

func text(of interface{ GetPayload() *pb.Payload }) string { return string(of.GetPayload().GetBody()) }

// serve serves the services over Peregrine, and returns a connection.
func serve(t *testing.T) *pgrpc.ClientConn {
	t.Helper()
	patient := peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})
	server := pgrpc.NewServer()
	pconnect.Register(server, services())
	endpoint, err := server.Listen("udp://127.0.0.1:0", patient)
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	conn, err := pgrpc.NewClient(endpoint.Addr().String(), pgrpc.WithEngine(patient))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestAllKindsOfMethods(t *testing.T) {
	t.Parallel()
	conn := serve(t)
	client := connect.NewClient(pconnect.NewTransport(conn))
	ctx, out := within(t), new(pb.SimpleResponse)

	ctx, info := connect.NewClientContext(ctx)
	info.RequestHeader().Add("Told", "a")
	info.RequestHeader().Add("Told", "b")
	info.RequestHeader().Add("Told-Bin", connect.EncodeBinaryHeader([]byte{0, 255}))
	require.NoError(t, client.CallUnary(ctx, unary, request("x"), out))
	require.Equal(t, "x", text(out))
	require.Equal(t, []string{"a", "b"}, info.ResponseHeader().Values("told"))
	require.Equal(t, connect.EncodeBinaryHeader([]byte{0, 255}), info.ResponseHeader().Get("told-bin"))
	require.Equal(t, "t", info.ResponseTrailer().Get("ending"))
	require.Equal(t, conn.Target(), info.PeerAddr)

	both, err := client.CallClientStream(within(t), bidi)
	require.NoError(t, err)
	require.NoError(t, both.SendHeaders())
	for _, word := range []string{"a", "b"} {
		require.NoError(t, both.Send(request(word)))
		require.NoError(t, both.Receive(out))
		require.Equal(t, word, text(out))
	}
	require.NoError(t, both.CloseSend())
	require.ErrorIs(t, both.Receive(out), io.EOF)
	require.NoError(t, both.Close())

	many, err := client.CallClientStream(within(t), up)
	require.NoError(t, err)
	require.NoError(t, many.Send(request("a")))
	require.NoError(t, many.Send(request("b")))
	require.NoError(t, many.CloseSend())
	require.NoError(t, many.Receive(out))
	require.Equal(t, "ab", text(out))
	require.ErrorIs(t, many.Receive(out), io.EOF)

	few, err := client.CallServerStream(within(t), down, request("x"))
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, few.Receive(out))
		require.Equal(t, "x", text(out))
	}
	require.ErrorIs(t, few.Receive(out), io.EOF)
}

// What connect's rules say of errors holds: clients are told what is meant for them.
func TestErrors(t *testing.T) {
	t.Parallel()
	client := connect.NewClient(pconnect.NewTransport(serve(t)))
	out := new(pb.SimpleResponse)
	ctx, info := connect.NewClientContext(within(t))
	err := client.CallUnary(ctx, unary, request("told"), out)
	var told *connect.Error
	require.ErrorAs(t, err, &told)
	require.Equal(t, connect.CodeNotFound, told.Code())
	require.Equal(t, "no such thing", told.Message())
	require.True(t, told.IsRemote())
	require.Len(t, told.Details(), 1)
	detail, err := connectproto.UnmarshalErrorDetail(told.Details()[0])
	require.NoError(t, err)
	require.Equal(t, "7", detail.(*errdetails.RequestInfo).RequestId)
	require.Equal(t, "t", info.ResponseTrailer().Get("ending"))

	for word, want := range map[string]connect.Code{"private": connect.CodeUnknown, "forwarded": connect.CodeInternal} {
		require.ErrorAs(t, client.CallUnary(within(t), unary, request(word), out), &told)
		require.Equal(t, want, told.Code())
		require.Empty(t, told.Message())
	}
	require.Equal(t, connect.CodeUnimplemented, connect.CodeOf(client.CallUnary(within(t), absent, request("x"), out)))

	ctx, info = connect.NewClientContext(within(t))
	info.RequestHeader().Set("Told-Bin", "?")
	require.Equal(t, connect.CodeInternal, connect.CodeOf(client.CallUnary(ctx, unary, request("x"), out)))

	cancelled, cancel := context.WithCancel(within(t))
	stream, err := client.CallClientStream(cancelled, bidi)
	require.NoError(t, err)
	require.NoError(t, stream.SendHeaders())
	cancel()
	err = stream.Receive(out)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, connect.CodeCanceled, connect.CodeOf(err))
}

// On the way they are gRPC's RPCs: generated stubs of gRPC's meet connect's handlers.
func TestAStubOfGRPCCallsAHandlerOfConnect(t *testing.T) {
	t.Parallel()
	client := pb.NewBenchmarkServiceClient(serve(t))
	ctx := metadata.AppendToOutgoingContext(within(t), "told", "a")
	out, err := client.UnaryCall(ctx, request("x"))
	require.NoError(t, err)
	require.Equal(t, "x", text(out))
	_, err = client.UnaryCall(ctx, request("told"))
	require.Equal(t, codes.NotFound, status.Code(err))
	require.Len(t, status.Convert(err).Details(), 1)
	stream, err := client.StreamingCall(ctx)
	require.NoError(t, err)
	require.NoError(t, stream.Send(request("y")))
	out, err = stream.Recv()
	require.NoError(t, err)
	require.Equal(t, "y", text(out))
	require.NoError(t, stream.CloseSend())
	_, err = stream.Recv()
	require.ErrorIs(t, err, io.EOF)
}
