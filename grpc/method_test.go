package pgrpc_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/peregrine-rpc/peregrine"
	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
)

// wire is what a client's calls and streams are for, in the engine, and whether the path
// is in what they send.
type wire struct {
	mu   sync.Mutex
	sent []string
}

func (w *wire) note(m peregrine.Method, what []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, fmt.Sprintf("%v, path %v", m, bytes.Contains(what, []byte("/test."))))
}

// took is what was sent since.
func (w *wire) took() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

func (w *wire) options() pgrpc.DialOption {
	return pgrpc.WithEngine(patient,
		peregrine.WithCallInterceptor(func(next peregrine.CallFunc) peregrine.CallFunc {
			return func(ctx context.Context, m peregrine.Method, request, buf []byte) ([]byte, error) {
				w.note(m, request)
				return next(ctx, m, request, buf)
			}
		}),
		peregrine.WithStreamInterceptor(func(next peregrine.StreamFunc) peregrine.StreamFunc {
			return func(ctx context.Context, m peregrine.Method, header []byte) (*peregrine.Stream, error) {
				w.note(m, header)
				return next(ctx, m, header)
			}
		}),
	)
}

// Calls and streams of what the server has are by the engine's number for the name, and
// the path does not travel with them. All else is asked for by path, where gRPC's words for
// it are, and whoever handles unknown methods.
func TestThePathOfAKnownMethodDoesNotTravel(t *testing.T) {
	t.Parallel()
	for _, handled := range []bool{false, true} {
		t.Run(fmt.Sprintf("unknown ones handled %v", handled), func(t *testing.T) {
			t.Parallel()
			var opts []pgrpc.ServerOption
			if handled {
				opts = append(opts, pgrpc.UnknownServiceHandler(func(_ any, ss grpc.ServerStream) error {
					method, _ := grpc.MethodFromServerStream(ss)
					return ss.SendMsg(word("handled " + method))
				}))
			}
			w := newWorld(t, settings{})
			srv := pgrpc.NewServer(opts...)
			w.register(srv)
			endpoint, err := srv.Listen("udp://127.0.0.1:0", patient)
			require.NoError(t, err)
			t.Cleanup(srv.Stop)
			var sent wire
			conn, err := pgrpc.NewClient(endpoint.Addr().String(), sent.options())
			require.NoError(t, err)
			t.Cleanup(func() { conn.Close() })
			ctx := within(t, time.Minute)

			for range 2 {
				require.NoError(t, conn.Invoke(ctx, unary, word("x"), new(text), grpc.WaitForReady(true)))
				stream, err := conn.NewStream(ctx, bidiDesc, bidi, grpc.WaitForReady(true))
				require.NoError(t, err)
				require.NoError(t, stream.CloseSend())
				require.Error(t, stream.RecvMsg(new(text)))
				require.Equal(t, []string{unary + ", path false", bidi + ", path false"}, sent.took())
			}

			for i := range 2 {
				stream, err := conn.NewStream(ctx, bidiDesc, noSuch)
				require.NoError(t, err)
				out := new(text)
				err = stream.RecvMsg(out)
				if handled {
					require.NoError(t, err)
					require.Equal(t, "handled "+noSuch, out.Value)
				} else {
					require.Equal(t, codes.Unimplemented, status.Code(err))
					require.Equal(t, "unknown method NoSuch for service test.Service", status.Convert(err).Message())
				}
				want := []string{noSuch + ", path false", "26450, path true"}
				require.Equal(t, want[i:], sent.took(), "and once it is known, the name is not asked for again")
			}
		})
	}
}

// A server that is started anew may have methods that it had not, and others not any more.
func TestAServerThatComesBackWithOtherMethods(t *testing.T) {
	t.Parallel()
	start := func(url, name string) (*pgrpc.Server, string) {
		srv := pgrpc.NewServer()
		srv.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Service", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{{
			StreamName: name, ServerStreams: true, Handler: func(_ any, ss grpc.ServerStream) error { return ss.SendMsg(word(name)) },
		}}}, nil)
		endpoint, err := srv.Listen(url, patient)
		require.NoError(t, err)
		return srv, endpoint.Addr().String()
	}
	srv, addr := start("udp://127.0.0.1:0", "Up")
	conn, err := pgrpc.NewClient(addr, pgrpc.WithEngine(patient), pgrpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	open := func(path string) (string, error) {
		for {
			stream, err := conn.NewStream(within(t, time.Minute), downDesc, path)
			out := new(text)
			if err == nil {
				err = stream.RecvMsg(out)
			}
			if status.Code(err) != codes.Unavailable { // the server that ended
				return out.Value, err
			}
		}
	}
	for _, name := range []string{"Up", "Down", "Up"} {
		for _, path := range []string{up, down} {
			got, err := open(path)
			if path == "/test.Service/"+name {
				require.NoError(t, err)
				require.Equal(t, name, got)
			} else {
				require.Equal(t, codes.Unimplemented, status.Code(err))
			}
		}
		srv.Stop()
		next := map[string]string{"Up": "Down", "Down": "Up"}[name]
		srv, _ = start("udp://"+addr, next)
	}
	srv.Stop()
}
