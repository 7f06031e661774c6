package pgrpc_test

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// token are credentials.
type token struct {
	md     map[string]string
	err    error
	secure bool
	w      *world
}

func (t token) GetRequestMetadata(_ context.Context, uri ...string) (map[string]string, error) {
	if t.w != nil {
		t.w.note("credentials", "%v", strings.HasSuffix(uri[0], "/test.Service"))
	}
	return t.md, t.err
}
func (t token) RequireTransportSecurity() bool { return t.secure }

func optionPrograms() []program {
	finish := func(w *world) grpc.CallOption {
		return grpc.OnFinish(func(err error) { w.noteErr("finish", "call", err) })
	}
	bothKinds := func(opts func(w *world) []grpc.CallOption) func(*world) {
		return func(w *world) {
			w.call(within(w.t, time.Minute), "you", opts(w)...)
			cs, err := w.conn.NewStream(within(w.t, time.Minute), bidiDesc, bidi, opts(w)...)
			w.noteErr("client", "open", err)
			if err == nil {
				cs.CloseSend()
				w.recvAll(cs)
			}
		}
	}
	serves := func(w *world) {
		withUnary(tells)(w)
		withStream(func(w *world, ss grpc.ServerStream) error {
			_, err := tells(w, ss.Context(), nil)
			return err
		})(w)
	}
	withCreds := func(t token) func(*world) {
		return bothKinds(func(w *world) []grpc.CallOption {
			t.w = w
			return []grpc.CallOption{grpc.PerRPCCredentials(t), finish(w)}
		})
	}
	return []program{
		{name: "option OnFinish", setup: serves, client: bothKinds(func(w *world) []grpc.CallOption { return []grpc.CallOption{finish(w), finish(w)} })},
		{name: "option OnFinish of what fails", setup: endsWithBoth(status.Error(codes.NotFound, "gone")), client: bothKinds(func(w *world) []grpc.CallOption { return []grpc.CallOption{finish(w)} })},
		{name: "option OnFinish of what does not begin", client: func(w *world) {
			ctx := metadata.NewOutgoingContext(context.Background(), metadata.MD{"Key": {"v"}})
			w.call(ctx, "you", finish(w))
			_, err := w.conn.NewStream(ctx, bidiDesc, bidi, finish(w))
			w.noteErr("client", "open", err)
			canceled, cancel := context.WithCancel(context.Background())
			cancel()
			w.call(canceled, "you", finish(w))
			w.call(within(w.t, time.Minute), "you", finish(w), grpc.UseCompressor("none"))
		}},
		{name: "option OnFinish of what is canceled", setup: withStream(func(_ *world, ss grpc.ServerStream) error { return echo(ss) }), client: func(w *world) {
			ctx, cancel := context.WithCancel(context.Background())
			cs, err := w.conn.NewStream(ctx, bidiDesc, bidi, finish(w))
			w.noteErr("client", "open", err)
			cancel()
			w.awaits("finish", 1)
			w.recv(cs)
		}},
		{name: "option Peer", setup: serves, client: func(w *world) {
			var p peer.Peer
			w.call(within(w.t, time.Minute), "you", grpc.Peer(&p))
			w.note("client", "%v %v", p.Addr != nil && p.LocalAddr != nil, p.AuthInfo.AuthType())
			var q peer.Peer
			cs, _ := w.conn.NewStream(within(w.t, time.Minute), bidiDesc, bidi, grpc.Peer(&q))
			of, ok := peer.FromContext(cs.Context())
			w.note("client", "%v %v, before the end %v", ok, of.Addr.String() == p.Addr.String(), q.Addr)
			cs.CloseSend()
			w.recvAll(cs)
			w.note("client", "%v", q.Addr.String() == p.Addr.String())
		}},
		{name: "options Header and Trailer of a stream", setup: withStream(func(_ *world, ss grpc.ServerStream) error {
			ss.SetHeader(metadata.Pairs("a", "h"))
			ss.SetTrailer(metadata.Pairs("a", "t"))
			return echo(ss)
		}), client: func(w *world) {
			var header, trailer metadata.MD
			cs, _ := w.conn.NewStream(within(w.t, time.Minute), bidiDesc, bidi, grpc.Header(&header), grpc.Trailer(&trailer))
			w.send(cs, "x")
			w.recv(cs)
			w.noteMD("client", "header so far", header)
			cs.CloseSend()
			w.recvAll(cs)
			w.noteMD("client", "header", header)
			w.noteMD("client", "trailer", trailer)
		}},
		{name: "options that others have use for", setup: serves, client: calls(grpc.MaxRetryRPCBufferSize(1), grpc.StaticMethod(), grpc.EmptyCallOption{}, grpc.WaitForReady(true))},
		{name: "option CallAuthority", setup: withUnary(func(w *world, ctx context.Context, _ *text) (*text, error) {
			md, _ := metadata.FromIncomingContext(ctx)
			w.note("handler", "%q", md[":authority"])
			return word(""), nil
		}), client: calls(grpc.CallAuthority("other"))},
		{name: "credentials", setup: serves, client: withCreds(token{md: map[string]string{"Authorization": "Bearer x", "key-bin": "\x00"}})},
		{name: "credentials that need security", setup: serves, client: withCreds(token{secure: true})},
		{name: "credentials that fail", setup: serves, client: withCreds(token{err: errors.New("no token")})},
		{name: "credentials that fail with a status", setup: serves, client: withCreds(token{err: status.Error(codes.Unavailable, "later")})},
		{name: "credentials that fail with a handlers' status", setup: serves, client: withCreds(token{err: status.Error(codes.NotFound, "none")})},
		{name: "credentials that are no metadata", setup: serves, client: withCreds(token{md: map[string]string{"a b": "x"}})},
		{name: "codec by CallCustomCodec", setup: withUnary(tellsType), client: calls(grpc.CallCustomCodec(customCodec{}), grpc.CallContentSubtype("upper"))},
	}
}

// customCodec is a codec of the oldest kind.
type customCodec struct{}

func (customCodec) Marshal(v any) ([]byte, error)      { return upperV1{}.Marshal(v) }
func (customCodec) Unmarshal(data []byte, v any) error { return upperV1{}.Unmarshal(data, v) }
func (customCodec) String() string                     { return "custom" }

func endsWithBoth(err error) func(*world) {
	return func(w *world) {
		answers(func() error { return err })(w)
		withStream(func(*world, grpc.ServerStream) error { return err })(w)
	}
}
