package pgrpc_test

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// tells notes the metadata that arrives.
func tells(w *world, ctx context.Context, _ *text) (*text, error) {
	md, ok := metadata.FromIncomingContext(ctx)
	w.noteMD("handler", "metadata", md)
	w.note("handler", "%v", ok)
	return word(""), nil
}

// sends is a client that calls with metadata.
func sends(to func(context.Context) context.Context) func(*world) {
	return func(w *world) {
		w.call(to(within(w.t, time.Minute)), "you")
		cs, err := w.conn.NewStream(to(within(w.t, time.Minute)), bidiDesc, bidi)
		w.noteErr("client", "open", err)
		if err == nil {
			cs.CloseSend()
			w.recvAll(cs)
		}
	}
}

func literal(md metadata.MD) func(context.Context) context.Context {
	return func(ctx context.Context) context.Context { return metadata.NewOutgoingContext(ctx, md) }
}

func pairs(kv ...string) func(context.Context) context.Context {
	return func(ctx context.Context) context.Context { return metadata.AppendToOutgoingContext(ctx, kv...) }
}

func metadataPrograms() []program {
	both := func(w *world) {
		withUnary(tells)(w)
		withStream(func(w *world, ss grpc.ServerStream) error {
			_, err := tells(w, ss.Context(), nil)
			return err
		})(w)
	}
	outgoing := map[string]func(context.Context) context.Context{
		"none":                     func(ctx context.Context) context.Context { return ctx },
		"an empty map":             literal(metadata.MD{}),
		"a pair":                   pairs("key", "value"),
		"several values, in order": pairs("key", "1", "other", "x", "key", "2", "key", "1"),
		"a literal and pairs": func(ctx context.Context) context.Context {
			return pairs("key", "2")(literal(metadata.MD{"key": {"1"}})(ctx))
		},
		"upper case by pairs":          pairs("KEY", "value"),
		"upper case in a literal":      literal(metadata.MD{"Key": {"value"}}),
		"an empty key":                 literal(metadata.MD{"": {"value"}}),
		"a key with a space":           pairs("a b", "value"),
		"a key that is no ASCII":       literal(metadata.MD{"ü": {"value"}}),
		"a key without values":         literal(metadata.MD{"key": {}}),
		"an empty value":               pairs("key", ""),
		"spaces around a value":        pairs("key", "  value "),
		"a value with a comma":         pairs("key", "a,b"),
		"a value with a line":          pairs("key", "a\nb"),
		"a value that is no ASCII":     pairs("key", "ü"),
		"a binary value":               pairs("key-bin", string([]byte{0, 1, 255, '\n', ','})),
		"binary values, empty and not": pairs("key-bin", "", "key-bin", "a", "key-bin", "ab"),
		"reserved keys":                pairs("grpc-status", "3", "grpc-message", "m", "grpc-encoding", "x", "te", "x", "content-type", "x", "user-agent", "x", "grpc-timeout", "1S", "grpc-message-type", "x"),
		"pseudo-headers":               pairs(":path", "/x", ":authority", "x", ":other", "y"),
		"unknown keys of gRPC's":       pairs("grpc-other", "x", "grpc-tags-bin", "x", "grpc-previous-rpc-attempts", "7"),
		"keys with marks":              pairs("a.b_c-d0", "value"),
		"host and connection-like":     pairs("cookie", "a=b", "authorization", "Bearer x"),
		"8 KB":                         pairs("key", strings.Repeat("v", 8<<10)),
	}
	var all []program
	for name, to := range outgoing {
		all = append(all, program{name: "metadata: " + name, setup: both, client: sends(to)})
	}

	// answered are ways of a handler to send metadata; a stream's and, by its context, a unary call's.
	answered := map[string]func(w *world, ctx context.Context, send func()){
		"header": func(w *world, ctx context.Context, _ func()) {
			w.noteErr("handler", "set", grpc.SetHeader(ctx, metadata.Pairs("a", "1")))
			w.noteErr("handler", "set", grpc.SetHeader(ctx, metadata.Pairs("a", "2", "b", "3", "bin-bin", "\x00\xff")))
		},
		"header sent early": func(w *world, ctx context.Context, _ func()) {
			w.noteErr("handler", "set", grpc.SetHeader(ctx, metadata.Pairs("a", "1")))
			w.noteErr("handler", "send", grpc.SendHeader(ctx, metadata.Pairs("a", "2")))
			w.noteErr("handler", "send again", grpc.SendHeader(ctx, metadata.Pairs("a", "3")))
			w.noteErr("handler", "set late", grpc.SetHeader(ctx, metadata.Pairs("a", "4")))
		},
		"an empty header sent": func(w *world, ctx context.Context, _ func()) {
			w.noteErr("handler", "set", grpc.SetHeader(ctx, nil))
			w.noteErr("handler", "send", grpc.SendHeader(ctx, nil))
			w.noteErr("handler", "set none late", grpc.SetHeader(ctx, metadata.MD{}))
		},
		"header behind a message": func(w *world, ctx context.Context, send func()) {
			send()
			w.noteErr("handler", "set", grpc.SetHeader(ctx, metadata.Pairs("a", "1")))
		},
		"trailer": func(w *world, ctx context.Context, _ func()) {
			w.noteErr("handler", "set", grpc.SetTrailer(ctx, metadata.Pairs("a", "1")))
			w.noteErr("handler", "set", grpc.SetTrailer(ctx, metadata.Pairs("a", "2", "bin-bin", "\x00\xff")))
			w.noteErr("handler", "set", grpc.SetTrailer(ctx, nil))
		},
		"header and trailer": func(w *world, ctx context.Context, send func()) {
			grpc.SetHeader(ctx, metadata.Pairs("a", "h"))
			send()
			grpc.SetTrailer(ctx, metadata.Pairs("a", "t"))
		},
		"reserved keys": func(w *world, ctx context.Context, _ func()) {
			w.noteErr("handler", "header", grpc.SetHeader(ctx, metadata.Pairs("grpc-status", "3", "content-type", "x", "grpc-encoding", "x", ":status", "404", "grpc-other", "y")))
			w.noteErr("handler", "trailer", grpc.SetTrailer(ctx, metadata.Pairs("grpc-status", "3", "grpc-message", "x", "grpc-other", "y", "grpc-status-details-bin", "?")))
		},
	}
	for name, how := range answered {
		for _, fails := range []bool{false, true} {
			outcome, err := " of one that succeeds", func() error { return nil }
			if fails {
				outcome, err = " of one that fails", failures()["details"]
			}
			all = append(all,
				program{name: "unary " + name + outcome, setup: withUnary(func(w *world, ctx context.Context, _ *text) (*text, error) {
					how(w, ctx, func() {})
					return word("reply"), err()
				}), client: func(w *world) {
					var header, trailer metadata.MD
					w.call(within(w.t, time.Minute), "you", grpc.Header(&header), grpc.Trailer(&trailer))
					w.noteMD("client", "header", header)
					w.noteMD("client", "trailer", trailer)
				}},
				program{name: "stream's " + name + outcome, setup: withStream(func(w *world, ss grpc.ServerStream) error {
					how(w, ss.Context(), func() { ss.SendMsg(word("first")) })
					return err()
				}), client: func(w *world) {
					cs, err := w.conn.NewStream(within(w.t, time.Minute), bidiDesc, bidi)
					w.noteErr("client", "open", err)
					md, err := cs.Header()
					w.noteErr("client", "header", err)
					w.noteMD("client", "header", md)
					cs.CloseSend()
					w.recvAll(cs)
					w.noteMD("client", "trailer", cs.Trailer())
					md, err = cs.Header()
					w.noteErr("client", "header again", err)
					w.noteMD("client", "header again", md)
				}},
			)
		}
	}
	return append(all,
		program{name: "invalid header and trailer of a stream", setup: withStream(func(w *world, ss grpc.ServerStream) error {
			handled(w, ss)
			w.noteErr("handler", "set", ss.SetHeader(metadata.MD{"Upper": {"x"}}))
			w.noteErr("handler", "send", ss.SendHeader(metadata.MD{"key": {"\n"}}))
			w.noteErr("handler", "send", ss.SendHeader(metadata.MD{"key": {"fine"}}))
			w.noteErr("handler", "set none", ss.SetHeader(metadata.MD{}))
			return nil
		}), client: streams},
		program{name: "a header that comes before any message", setup: withStream(func(w *world, ss grpc.ServerStream) error {
			ss.SendHeader(metadata.Pairs("a", "early"))
			return echo(ss)
		}), client: func(w *world) {
			cs, _ := w.conn.NewStream(within(w.t, time.Minute), bidiDesc, bidi)
			md, err := cs.Header() // with nothing sent
			w.noteErr("client", "header", err)
			w.noteMD("client", "header", md)
			w.noteMD("client", "trailer so far", cs.Trailer())
			cs.SendMsg(word("x"))
			cs.CloseSend()
			w.recvAll(cs)
		}},
	)
}
