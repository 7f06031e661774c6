package bridge_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/peregrine-rpc/peregrine"
	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
	"github.com/peregrine-rpc/peregrine/grpc/bridge"
)

// service answers what it is asked for, and says in header and trailer what it was told.
type service struct {
	testpb.UnimplementedTestServiceServer
	canceled chan struct{}
}

func (s *service) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	grpc.SetHeader(ctx, metadata.MD{"header": md["told"], "header-bin": md["told-bin"]})
	grpc.SetTrailer(ctx, metadata.Pairs("ending", "t1", "ending", "t2"))
	if st := in.GetResponseStatus(); st.GetCode() != 0 {
		failed, err := status.New(codes.Code(st.Code), st.Message).WithDetails(&errdetails.RequestInfo{RequestId: "7"})
		if err != nil {
			return nil, err
		}
		return nil, failed.Err()
	}
	if _, ok := ctx.Deadline(); ok {
		grpc.SetTrailer(ctx, metadata.Pairs("deadline", "yes"))
	}
	return &testpb.SimpleResponse{Payload: in.Payload}, nil
}

func (s *service) FullDuplexCall(stream grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	stream.SendHeader(metadata.Pairs("header", "early"))
	for {
		in, err := stream.Recv()
		switch {
		case err == io.EOF:
			stream.SetTrailer(metadata.Pairs("ending", "late"))
			return nil
		case err != nil:
			if s.canceled != nil {
				<-stream.Context().Done()
				close(s.canceled)
			}
			return err
		}
		if err := stream.Send(&testpb.StreamingOutputCallResponse{Payload: in.Payload}); err != nil {
			return err
		}
	}
}

// patient is for hosts that are busy with something else.
var patient = peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})

// behindPeregrine is the URL's address of a bridge before a Peregrine server.
func behindPeregrine(t *testing.T, s *service) (address string) {
	server := pgrpc.NewServer()
	testpb.RegisterTestServiceServer(server, s)
	reflection.Register(server)
	endpoint, err := server.Listen("udp://127.0.0.1:0", patient)
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	conn, err := pgrpc.NewClient(endpoint.Addr().String(), pgrpc.WithEngine(patient))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	front := httptest.NewUnstartedServer(bridge.Handler(conn, bridge.Options{Origins: []string{"https://page.example"}}))
	front.Config.Protocols = bridge.Protocols()
	front.Start()
	t.Cleanup(front.Close)
	return front.Listener.Addr().String()
}

// viaHTTP is a connection of grpc-go to a Peregrine server.
func viaHTTP(t *testing.T, s *service) grpc.ClientConnInterface {
	conn, err := grpc.NewClient(behindPeregrine(t, s), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// viaPeregrine is a connection over Peregrine to a server of grpc-go.
func viaPeregrine(t *testing.T, s *service) grpc.ClientConnInterface {
	server := grpc.NewServer()
	testpb.RegisterTestServiceServer(server, s)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	to, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { to.Close() })
	front := pgrpc.NewServer(pgrpc.UnknownServiceHandler(bridge.Forward(to)), pgrpc.ForceServerCodecV2(bridge.Codec()))
	endpoint, err := front.Listen("udp://127.0.0.1:0", patient)
	require.NoError(t, err)
	t.Cleanup(front.Stop)
	conn, err := pgrpc.NewClient(endpoint.Addr().String(), pgrpc.WithEngine(patient))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// bothWays tells a story of each direction.
func bothWays(t *testing.T, story func(t *testing.T, s *service, client testpb.TestServiceClient)) {
	t.Parallel()
	for name, via := range map[string]func(*testing.T, *service) grpc.ClientConnInterface{
		"HTTP/2 to Peregrine": viaHTTP, "Peregrine to HTTP/2": viaPeregrine,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &service{canceled: make(chan struct{})}
			story(t, s, testpb.NewTestServiceClient(via(t, s)))
		})
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func payload(text string) *testpb.Payload { return &testpb.Payload{Body: []byte(text)} }

func TestAUnaryCallPasses(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *service, client testpb.TestServiceClient) {
		ctx := metadata.AppendToOutgoingContext(within(t), "told", "a", "told", "b", "told-bin", "\x00\xff")
		for _, size := range []int{0, 5, 100_000} {
			var header, trailer metadata.MD
			reply, err := client.UnaryCall(ctx, &testpb.SimpleRequest{Payload: payload(strings.Repeat("x", size))}, grpc.Header(&header), grpc.Trailer(&trailer))
			require.NoError(t, err)
			require.Len(t, reply.Payload.GetBody(), size)
			require.Equal(t, []string{"a", "b"}, header["header"])
			require.Equal(t, []string{"\x00\xff"}, header["header-bin"])
			require.Equal(t, []string{"t1", "t2"}, trailer["ending"])
			require.Equal(t, []string{"yes"}, trailer["deadline"])
		}
	})
}

func TestACompressedCallPasses(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *service, client testpb.TestServiceClient) {
		text := strings.Repeat("long ", 10_000)
		reply, err := client.UnaryCall(within(t), &testpb.SimpleRequest{Payload: payload(text)}, grpc.UseCompressor(gzip.Name))
		require.NoError(t, err)
		require.Equal(t, text, string(reply.Payload.Body))
	})
}

func TestAStatusPassesWithItsDetails(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *service, client testpb.TestServiceClient) {
		var trailer metadata.MD
		_, err := client.UnaryCall(within(t), &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: 5, Message: "nö such\nthing"}}, grpc.Trailer(&trailer))
		st := status.Convert(err)
		require.Equal(t, codes.NotFound, st.Code())
		require.Equal(t, "nö such\nthing", st.Message())
		require.Len(t, st.Details(), 1)
		require.Equal(t, "7", st.Details()[0].(*errdetails.RequestInfo).RequestId)
		require.Equal(t, []string{"t1", "t2"}, trailer["ending"])
		_, err = client.EmptyCall(within(t), &testpb.Empty{})
		require.Equal(t, codes.Unimplemented, status.Code(err))
	})
}

func TestAStreamPasses(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *service, client testpb.TestServiceClient) {
		stream, err := client.FullDuplexCall(within(t))
		require.NoError(t, err)
		header, err := stream.Header()
		require.NoError(t, err)
		require.Equal(t, []string{"early"}, header["header"], "before any message")
		for _, text := range []string{"", "a", strings.Repeat("b", 70_000), "c"} {
			require.NoError(t, stream.Send(&testpb.StreamingOutputCallRequest{Payload: payload(text)}))
			reply, err := stream.Recv()
			require.NoError(t, err)
			require.Equal(t, text, string(reply.Payload.GetBody()))
		}
		require.NoError(t, stream.CloseSend())
		_, err = stream.Recv()
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, []string{"late"}, stream.Trailer()["ending"])
	})
}

func TestACancelReachesTheServer(t *testing.T) {
	bothWays(t, func(t *testing.T, s *service, client testpb.TestServiceClient) {
		ctx, cancel := context.WithCancel(within(t))
		stream, err := client.FullDuplexCall(ctx)
		require.NoError(t, err)
		_, err = stream.Header()
		require.NoError(t, err)
		cancel()
		_, err = stream.Recv()
		require.Equal(t, codes.Canceled, status.Code(err))
		<-s.canceled
	})
}

// Grpc-web is gRPC with its trailer in the body.
func TestABrowserCalls(t *testing.T) {
	t.Parallel()
	address := behindPeregrine(t, &service{})
	for _, kind := range []string{"application/grpc-web", "application/grpc-web+proto", "application/grpc-web-text"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ask := func(code int32) (frames [][]byte, response *http.Response) {
				message, err := proto.Marshal(&testpb.SimpleRequest{Payload: payload("hello"), ResponseStatus: &testpb.EchoStatus{Code: code, Message: "no"}})
				require.NoError(t, err)
				body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
				text := strings.HasPrefix(kind, "application/grpc-web-text")
				if text { // in two pieces, each padded, the first of two lines
					first, second := base64.StdEncoding.EncodeToString(body[:4]), base64.StdEncoding.EncodeToString(body[4:])
					body = []byte(first[:5] + "\r\n" + first[5:] + "\n" + second)
				}
				request, err := http.NewRequestWithContext(within(t), http.MethodPost, "http://"+address+"/grpc.testing.TestService/UnaryCall", bytes.NewReader(body))
				require.NoError(t, err)
				request.Header.Set("Content-Type", kind)
				request.Header.Set("Origin", "https://page.example")
				request.Header.Set("Told", "x")
				response, err = http.DefaultClient.Do(request)
				require.NoError(t, err)
				defer response.Body.Close()
				all, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				if text {
					all = unpad(t, string(all))
				}
				for len(all) > 0 {
					end := 5 + binary.BigEndian.Uint32(all[1:])
					frames = append(frames, all[:end])
					all = all[end:]
				}
				return frames, response
			}
			frames, response := ask(0)
			require.Equal(t, kind, response.Header.Get("Content-Type"))
			require.Equal(t, "https://page.example", response.Header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, "x", response.Header.Get("Header"))
			require.Len(t, frames, 2)
			var reply testpb.SimpleResponse
			require.NoError(t, proto.Unmarshal(frames[0][5:], &reply))
			require.Equal(t, "hello", string(reply.Payload.Body))
			require.EqualValues(t, 0x80, frames[1][0])
			require.Contains(t, string(frames[1][5:]), "grpc-status: 0\r\n")
			require.Contains(t, string(frames[1][5:]), "ending: t1\r\nending: t2\r\n")
			frames, _ = ask(5)
			require.Contains(t, string(frames[len(frames)-1][5:]), "grpc-status: 5\r\n")
		})
	}
}

// A server may send its header while a page still sends its message, also by HTTP/1.1,
// where Go's server drops the rest of a request once there is a response.
func TestAServerSpeaksFirstByWeb(t *testing.T) {
	t.Parallel()
	address := behindPeregrine(t, &service{}) // whose FullDuplexCall does
	message, err := proto.Marshal(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: make([]byte, 1<<20)}})
	require.NoError(t, err)
	sent := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	body, page := io.Pipe()
	defer page.Close()
	request, err := http.NewRequestWithContext(within(t), http.MethodPost, "http://"+address+"/grpc.testing.TestService/FullDuplexCall", body)
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/grpc-web+proto")
	go page.Write(sent[:1000])
	response, err := http.DefaultClient.Do(request) // returns with the header
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, "early", response.Header.Get("Header"))
	_, err = page.Write(sent[1000:])
	require.NoError(t, err)
	page.Close()
	all, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Greater(t, len(all), 1<<20)
	require.Contains(t, string(all[1<<20:]), "grpc-status: 0\r\n")
}

// unpad decodes pieces of base64, each padded.
func unpad(t *testing.T, text string) (all []byte) {
	for len(text) > 0 {
		group, err := base64.StdEncoding.DecodeString(text[:4])
		require.NoError(t, err)
		all, text = append(all, group...), text[4:]
	}
	return all
}

func TestAPageOfAnotherOriginAsksFirst(t *testing.T) {
	t.Parallel()
	address := behindPeregrine(t, &service{})
	for origin, allowed := range map[string]string{"https://page.example": "https://page.example", "https://other.example": ""} {
		request, err := http.NewRequestWithContext(within(t), http.MethodOptions, "http://"+address+"/grpc.testing.TestService/UnaryCall", nil)
		require.NoError(t, err)
		request.Header.Set("Origin", origin)
		request.Header.Set("Access-Control-Request-Method", "POST")
		request.Header.Set("Access-Control-Request-Headers", "content-type,x-grpc-web")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, http.StatusNoContent, response.StatusCode)
		require.Equal(t, allowed, response.Header.Get("Access-Control-Allow-Origin"))
	}
}

func TestWhatIsNoGRPCIsRefused(t *testing.T) {
	t.Parallel()
	address := behindPeregrine(t, &service{})
	response, err := http.Get("http://" + address)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusUnsupportedMediaType, response.StatusCode)
}

// program builds a real program, of a version that is known, and returns its path.
func program(t *testing.T, module string) (path string) {
	t.Helper()
	folder := t.TempDir()
	install := exec.Command("go", "install", module)
	install.Env = append(os.Environ(), "GOBIN="+folder)
	out, err := install.CombinedOutput()
	require.NoError(t, err, "%s", out)
	name, _, _ := strings.Cut(filepath.Base(module), "@")
	return filepath.Join(folder, name)
}

// TestGrpcurlWorks asks a Peregrine server by the real grpcurl.
func TestGrpcurlWorks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: grpcurl is built for this")
	}
	path := program(t, "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3")
	address := behindPeregrine(t, &service{})
	grpcurl := func(args ...string) (string, error) {
		out, err := exec.CommandContext(within(t), path, append([]string{"-plaintext"}, args...)...).CombinedOutput()
		return string(out), err
	}
	out, err := grpcurl(address, "list")
	require.NoError(t, err, out)
	require.Contains(t, out, "grpc.testing.TestService")
	out, err = grpcurl(address, "describe", "grpc.testing.TestService.UnaryCall")
	require.NoError(t, err, out)
	require.Contains(t, out, "rpc UnaryCall")
	out, err = grpcurl("-v", "-H", "told: hi", "-d", `{"payload":{"body":"aGVsbG8="}}`, address, "grpc.testing.TestService/UnaryCall")
	require.NoError(t, err, out)
	for _, part := range []string{"aGVsbG8=", "header: hi", "ending: t1", "ending: t2"} {
		require.Contains(t, out, part)
	}
	out, err = grpcurl("-d", `{"payload":{"body":"YQ=="}} {"payload":{"body":"Yg=="}}`, address, "grpc.testing.TestService/FullDuplexCall")
	require.NoError(t, err, out)
	require.Contains(t, out, "YQ==")
	require.Contains(t, out, "Yg==")
	out, err = grpcurl("-d", `{"response_status":{"code":5,"message":"none"}}`, address, "grpc.testing.TestService/UnaryCall")
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit), out)
	require.Contains(t, out, "Code: NotFound")
	require.Contains(t, out, "Message: none")
}

// TestGhzWorks loads a Peregrine server by the real ghz, which asks for the method by reflection.
func TestGhzWorks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: ghz is built for this")
	}
	path := program(t, "github.com/bojand/ghz/cmd/ghz@v0.93.0")
	out, err := exec.CommandContext(within(t), path, "--insecure", "--call", "grpc.testing.TestService.UnaryCall", "-c", "4", "-n", "200",
		"--timeout", "1m", "-d", `{"payload":{"body":"aGVsbG8="}}`, "--format", "json", behindPeregrine(t, &service{})).Output()
	require.NoError(t, err, "%s", out)
	var report struct {
		Count                  int
		StatusCodeDistribution map[string]int
	}
	require.NoError(t, json.Unmarshal(out, &report), "%s", out)
	require.Equal(t, 200, report.Count)
	require.Equal(t, map[string]int{"OK": 200}, report.StatusCodeDistribution)
}
