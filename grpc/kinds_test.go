package pgrpc_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// Unary calls and streams of all three kinds work, as generated code makes them.
func TestAllKindsOfMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	w.unary = func(_ context.Context, in *text) (*text, error) { return word("hello " + in.Value), nil }
	w.overPeregrine()
	out := new(text)
	require.NoError(t, w.conn.Invoke(within(t, time.Minute), unary, word("you"), out))
	require.Equal(t, "hello you", out.Value)

	w.serve(func(ss grpc.ServerStream) error {
		stream, all := &grpc.GenericServerStream[text, text]{ServerStream: ss}, ""
		for {
			in, err := stream.Recv()
			if err == io.EOF {
				return stream.SendAndClose(word(all))
			}
			if err != nil {
				return err
			}
			all += in.Value
		}
	})
	cs, err := w.conn.NewStream(within(t, time.Minute), upDesc, up)
	require.NoError(t, err)
	upward := &grpc.GenericClientStream[text, text]{ClientStream: cs}
	for i := range 100 {
		require.NoError(t, upward.Send(word(fmt.Sprint(i%10))))
	}
	sum, err := upward.CloseAndRecv()
	require.NoError(t, err)
	require.Len(t, sum.Value, 100)

	w.serve(func(ss grpc.ServerStream) error {
		in := new(text)
		if err := ss.RecvMsg(in); err != nil {
			return err
		}
		for i := range 100 {
			if err := ss.SendMsg(word(fmt.Sprint(in.Value, i))); err != nil {
				return err
			}
		}
		return nil
	})
	cs, err = w.conn.NewStream(within(t, time.Minute), downDesc, down)
	require.NoError(t, err)
	require.NoError(t, cs.SendMsg(word("n")))
	require.NoError(t, cs.CloseSend())
	for i := range 100 {
		require.NoError(t, cs.RecvMsg(out))
		require.Equal(t, fmt.Sprint("n", i), out.Value)
	}
	require.Equal(t, io.EOF, cs.RecvMsg(out))

	w.serve(echo)
	cs, err = w.conn.NewStream(within(t, time.Minute), bidiDesc, bidi)
	require.NoError(t, err)
	for i := range 100 {
		require.NoError(t, cs.SendMsg(word(fmt.Sprint(i))))
		require.NoError(t, cs.RecvMsg(out))
		require.Equal(t, fmt.Sprint(i), out.Value)
	}
	require.NoError(t, cs.CloseSend())
	require.Equal(t, io.EOF, cs.RecvMsg(out))
}
