package pgrpc_test

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func statsPrograms() []program {
	on := settings{stats: true}
	return []program{
		{name: "stats: unary", settings: on, setup: withUnary(hello), client: calls()},
		{name: "stats: unary with metadata", settings: on, setup: withUnary(func(_ *world, ctx context.Context, _ *text) (*text, error) {
			grpc.SetHeader(ctx, metadata.Pairs("a", "h"))
			grpc.SetTrailer(ctx, metadata.Pairs("a", "t"))
			return word("reply"), nil
		}), client: sends(pairs("key", "value"))},
		{name: "stats: unary that fails", settings: on, setup: answers(func() error { return status.Error(codes.NotFound, "gone") }), client: calls()},
		{name: "stats: unary that fails by a plain error", settings: on, setup: answers(func() error { return errors.New("plain") }), client: calls()},
		{name: "stats: unary that fails behind a header", settings: on, setup: withUnary(func(_ *world, ctx context.Context, _ *text) (*text, error) {
			grpc.SendHeader(ctx, metadata.Pairs("a", "h"))
			return nil, status.Error(codes.Unavailable, "gone")
		}), client: calls()},
		{name: "stats: unary, unknown method", settings: settings{serverStats: true}, client: func(w *world) {
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), noSuch, word("x"), new(text)))
		}},
		{name: "stats: unary, the request does not encode", settings: on, client: func(w *world) {
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), unary, "x", new(text)))
		}, differs: "a unary request that does not encode never reaches the server"},
		{name: "stats: unary, the request is too long", settings: settings{stats: true, maxReceived: 10}, setup: withUnary(hello), client: func(w *world) {
			w.call(within(w.t, time.Minute), strings.Repeat("x", 100))
		}},
		{name: "stats: unary, credentials fail", settings: on, client: calls(grpc.PerRPCCredentials(token{secure: true}))},
		{name: "stats: unary, wait for ready", settings: on, setup: withUnary(hello), client: calls(grpc.WaitForReady(true))},
		{name: "stats: a context that is canceled", settings: on, client: func(w *world) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			w.call(ctx, "you")
		}},
		{name: "stats: bidi", settings: on, setup: withStream(func(_ *world, ss grpc.ServerStream) error {
			ss.SetTrailer(metadata.Pairs("a", "t"))
			return echo(ss)
		}), client: streams},
		{name: "stats: a stream that fails", settings: on, setup: endsWith(func() error { return status.Error(codes.NotFound, "gone") }), client: streams},
		{name: "stats: a stream that fails at once", settings: on, setup: withStream(func(*world, grpc.ServerStream) error {
			return status.Error(codes.NotFound, "gone")
		}), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			w.recvAll(cs)
		}},
		{name: "stats: up", settings: on, setup: withStream(func(w *world, ss grpc.ServerStream) error {
			handled(w, ss)
			handled(w, ss)
			return ss.SendMsg(word("sum"))
		}), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), upDesc, up)
			w.send(cs, "1")
			cs.CloseSend()
			w.recv(cs)
		}},
		{name: "stats: down", settings: on, setup: withStream(func(w *world, ss grpc.ServerStream) error {
			handled(w, ss)
			ss.SendMsg(word("1"))
			return ss.SendMsg(word("2"))
		}), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), downDesc, down)
			w.send(cs, "n")
			w.recvAll(cs)
		}},
		{name: "stats: a failed SendMsg of a handler", settings: on, setup: withStream(func(w *world, ss grpc.ServerStream) error {
			handled(w, ss)
			ss.SendMsg("no message")
			return status.Error(codes.NotFound, "lost")
		}), client: streams},
	}
}
