package pgrpc_test

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc"
)

func reversed(_ *world, _ context.Context, in *text) (*text, error) {
	return word(strings.Repeat(in.Value, 2)), nil
}

// limitPrograms are about how long messages may be.
func limitPrograms() []program {
	long := strings.Repeat("x", 2000)
	callLong := func(opts ...grpc.CallOption) func(*world) {
		return func(w *world) { w.call(within(w.t, time.Minute), long, opts...) }
	}
	return []program{
		{name: "limit: the server receives less", settings: settings{maxReceived: 1000}, setup: withUnary(reversed), client: callLong()},
		{name: "limit: exactly as much as the server receives", settings: settings{maxReceived: 2003}, setup: withUnary(reversed), client: callLong()},
		{name: "limit: the server sends less", settings: settings{maxSent: 3000}, setup: withUnary(reversed), client: callLong()},
		{name: "limit: the client receives less", setup: withUnary(reversed), client: callLong(grpc.MaxCallRecvMsgSize(3000))},
		{name: "limit: the client sends less", setup: withUnary(reversed), client: callLong(grpc.MaxCallSendMsgSize(1000))},
		{name: "limit: options of the connection", settings: settings{callOptions: []grpc.CallOption{grpc.MaxCallSendMsgSize(10)}}, setup: withUnary(reversed), client: callLong()},
		{name: "limit: a call's options win", settings: settings{callOptions: []grpc.CallOption{grpc.MaxCallSendMsgSize(10)}}, setup: withUnary(reversed), client: callLong(grpc.MaxCallSendMsgSize(10000))},
		{name: "limit: 4 MiB are received by default", setup: withUnary(reversed), client: func(w *world) {
			w.call(within(w.t, time.Minute), strings.Repeat("x", 4<<20))
		}},
		{name: "limit: 4 MiB are answered by default", setup: withUnary(func(*world, context.Context, *text) (*text, error) {
			return word(strings.Repeat("x", 4<<20)), nil
		}), client: calls()},
		{name: "limit: a stream's server receives less", settings: settings{maxReceived: 1000}, setup: withStream(func(w *world, ss grpc.ServerStream) error {
			handled(w, ss)
			handled(w, ss)
			return nil
		}), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			w.send(cs, "short")
			w.send(cs, long)
			w.recv(cs)
		}},
		{name: "limit: a stream's client receives less", settings: settings{callOptions: []grpc.CallOption{grpc.MaxCallRecvMsgSize(1000)}}, setup: withStream(func(w *world, ss grpc.ServerStream) error {
			ss.SendMsg(word("short"))
			ss.SendMsg(word(long))
			<-ss.Context().Done()
			return nil
		}), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			w.recvAll(cs)
			w.note("client", "%v", cs.Context().Err())
		}},
		{name: "limit: a stream's client sends less", settings: settings{callOptions: []grpc.CallOption{grpc.MaxCallSendMsgSize(1000)}}, setup: withStream(func(w *world, ss grpc.ServerStream) error { return echo(ss) }), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			w.send(cs, long)
			w.recv(cs)
		}},
		{name: "limit: a stream's server sends less", settings: settings{maxSent: 1000}, setup: withStream(func(w *world, ss grpc.ServerStream) error {
			handled(w, ss)
			w.noteErr("handler", "send", ss.SendMsg(word(long)))
			return errors.New("lost")
		}), client: streams},
		{name: "limit: decompressed, the server receives less", settings: settings{maxReceived: 1000}, setup: withUnary(reversed), client: callLong(grpc.UseCompressor("gzip"))},
		{name: "limit: decompressed, the client receives less", setup: withUnary(reversed), client: callLong(grpc.UseCompressor("gzip"), grpc.MaxCallRecvMsgSize(1000))},
	}
}
