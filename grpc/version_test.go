package pgrpc_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/peregrine-rpc/peregrine"
	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
)

// requireOtherVersion is that an RPC has failed as one with a peer of another version does.
func requireOtherVersion(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, codes.Internal, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "may be of another version")
}

// A server of another version answers what a client of this one does not understand: that
// call, or stream, fails with Internal, and those that are understood go on.
func TestAServerOfAnotherVersion(t *testing.T) {
	t.Parallel()
	server, err := peregrine.Listen("udp://127.0.0.1:0", patient)
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	replies := map[string][]byte{
		"/new/Flags": {1 << 7, 'x'}, // flags of later
		"/new/Empty": {},            // and a reply without any
		"/new/Rest":  {1, 'x', 0xff, 0xff, 0xff, 0xff},
		"/new/Known": {0},
	}
	for path, reply := range replies {
		require.NoError(t, server.HandleName(path, func(q peregrine.Request) { q.Reply(reply) }))
	}
	messages := map[string][]byte{
		"/new/Unframed": []byte("a message without its length, which the header promised"),
		"/new/Short":    {1, 0},
		"/new/Stream":   {0, 0, 0, 0},
	}
	for path, message := range messages {
		require.NoError(t, server.HandleStreamName(path, func(st *peregrine.Stream) error {
			return errors.Join(st.SendHeader([]byte{0, 0, 0xff, 0x01}), st.Send(message)) // and is able to much of later
		}))
	}
	conn, err := pgrpc.NewClient(server.Addr().String(), pgrpc.WithEngine(patient))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	for path := range replies {
		err := conn.Invoke(within(t, 10*time.Minute), path, word("hi"), new(text))
		if path == "/new/Known" {
			require.NoError(t, err)
			continue
		}
		requireOtherVersion(t, err)
	}
	for path := range messages {
		cs, err := conn.NewStream(within(t, 10*time.Minute), bidiDesc, path)
		require.NoError(t, err)
		err = cs.RecvMsg(new(text))
		if path == "/new/Stream" {
			require.NoError(t, err)
			require.Equal(t, io.EOF, cs.RecvMsg(new(text)))
			continue
		}
		requireOtherVersion(t, err)
		requireOtherVersion(t, cs.RecvMsg(new(text)))
	}
}

// A client of another version sends what a server of this one does not understand, to
// the handlers' knowledge only where they have begun, and the others are served meanwhile.
func TestAClientOfAnotherVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	var calls atomic.Int32
	w.unary = func(_ context.Context, in *text) (*text, error) {
		calls.Add(1)
		return in, nil
	}
	told := make(chan error, 1)
	w.serve(func(s grpc.ServerStream) error {
		err := s.RecvMsg(new(text))
		told <- err
		return nil // which does not count
	})
	w.overPeregrine()
	session := w.conn.(*pgrpc.ClientConn).Session()
	ctx := within(t, 10*time.Minute)

	var failed *peregrine.Error
	_, err := session.Method(unary).Call(ctx, []byte{0xff, 0xff}, nil) // no opening of today
	require.True(t, errors.As(err, &failed), "%v", err)
	require.Equal(t, peregrine.Internal, failed.Code)
	require.ErrorContains(t, err, "may be of another version")
	require.Zero(t, calls.Load())

	st, err := session.Method(bidi).Stream(ctx, append([]byte{0}, oldest...)) // says that its messages come joined
	require.NoError(t, err)
	require.NoError(t, st.Send([]byte("a message without its length")))
	requireOtherVersion(t, <-told)
	_, err = st.Recv(nil)
	require.True(t, errors.As(err, &failed), "%v", err)
	require.Equal(t, peregrine.Internal, failed.Code)

	out := new(text)
	require.NoError(t, w.conn.Invoke(ctx, unary, word("hi"), out))
	require.Equal(t, "hi", out.Value)
	require.EqualValues(t, 1, calls.Load())
}
