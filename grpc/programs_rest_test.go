package pgrpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
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

// upper is a codec of text that shouts.
type upper struct{ name string }

func (c upper) Name() string { return c.name }

func (upper) Marshal(v any) (mem.BufferSlice, error) {
	t, ok := v.(*text)
	if !ok {
		return nil, fmt.Errorf("no text but %T", v)
	}
	half := len(t.Value) / 2 // in two buffers
	return mem.BufferSlice{mem.SliceBuffer(strings.ToUpper(t.Value[:half])), mem.SliceBuffer(strings.ToUpper(t.Value[half:]))}, nil
}

func (upper) Unmarshal(data mem.BufferSlice, v any) error {
	t, ok := v.(*text)
	if !ok {
		return fmt.Errorf("no text but %T", v)
	}
	t.Value = string(data.Materialize())
	return nil
}

// upperV1 is a codec of the older kind.
type upperV1 struct{ upper }

func (c upperV1) Marshal(v any) ([]byte, error) {
	b, err := c.upper.Marshal(v)
	return b.Materialize(), err
}

func (c upperV1) Unmarshal(data []byte, v any) error {
	return c.upper.Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, v)
}

// mirror is a compressor that turns bytes around.
type mirror struct{ fails bool }

func (mirror) Name() string { return "mirror" }

func (mirror) Compress(w io.Writer) (io.WriteCloser, error) { return &mirrorWriter{to: w}, nil }

func (mirror) Decompress(r io.Reader) (io.Reader, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(b, []byte("broken")) {
		return nil, errors.New("a broken mirror")
	}
	return bytes.NewReader(turned(b)), nil
}

type mirrorWriter struct {
	to io.Writer
	b  []byte
}

func (w *mirrorWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

func (w *mirrorWriter) Close() error {
	_, err := w.to.Write(turned(w.b))
	return err
}

func turned(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[len(b)-1-i] = b[i]
	}
	return out
}

func init() {
	encoding.RegisterCodecV2(upper{"upper"})
	encoding.RegisterCompressor(mirror{})
}

func codecPrograms() []program {
	all := []program{
		{name: "codec by subtype", setup: withUnary(tellsType), client: calls(grpc.CallContentSubtype("upper"))},
		{name: "codec by subtype, upper case", setup: withUnary(tellsType), client: calls(grpc.CallContentSubtype("UPPER"))},
		{name: "codec by subtype, a stream", settings: settings{callOptions: []grpc.CallOption{grpc.CallContentSubtype("upper")}}, setup: withStream(func(w *world, ss grpc.ServerStream) error {
			tellsType(w, ss.Context(), nil)
			return echo(ss)
		}), client: streams},
		{name: "codec by a subtype that is not registered", setup: withUnary(tellsType), client: calls(grpc.CallContentSubtype("none"))},
		{name: "codec forced", setup: withUnary(tellsType), client: calls(grpc.ForceCodecV2(upper{"upper"}))},
		{name: "codec forced of the older kind", setup: withUnary(tellsType), client: calls(grpc.ForceCodec(upperV1{upper{"upper"}}))},
		{name: "codec forced, and another subtype", setup: withUnary(tellsType), client: calls(grpc.ForceCodecV2(upper{"other"}), grpc.CallContentSubtype("upper"))},
		{name: "codec that the server does not have", setup: withUnary(tellsType), client: calls(grpc.ForceCodecV2(upper{"strange"}))},
		{name: "codec that fails to encode", setup: withUnary(tellsType), client: func(w *world) {
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), unary, 7, new(text), grpc.CallContentSubtype("upper")))
		}},
		{name: "codec that fails to decode", setup: withUnary(tellsType), client: func(w *world) {
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), unary, word("x"), new(int), grpc.CallContentSubtype("upper")))
		}},
		{name: "codec proto by name", setup: withUnary(tellsType), client: calls(grpc.CallContentSubtype("proto"))},
		{name: "compressor not installed", setup: withUnary(reversed), client: calls(grpc.UseCompressor("none"))},
		{name: "compressor not installed, a stream", settings: settings{callOptions: []grpc.CallOption{grpc.UseCompressor("none")}}, client: func(w *world) {
			w.opens(within(w.t, time.Minute), bidiDesc, bidi)
		}},
		{name: "compressor that fails at the server", setup: withUnary(reversed), client: func(w *world) {
			w.call(within(w.t, time.Minute), "nekorb", grpc.UseCompressor("mirror"))
		}},
		{name: "compressor set by a handler", setup: withUnary(func(_ *world, ctx context.Context, _ *text) (*text, error) {
			return word("x"), grpc.SetSendCompressor(ctx, "gzip")
		}), client: calls(), differs: "grpc.SetSendCompressor insists on grpc's own stream"},
	}
	for _, name := range []string{"gzip", "mirror", "identity"} {
		use := settings{callOptions: []grpc.CallOption{grpc.UseCompressor(name)}, stats: name == "mirror"}
		all = append(all,
			program{name: "compressor " + name, settings: use, setup: withUnary(func(w *world, ctx context.Context, in *text) (*text, error) {
				md, _ := metadata.FromIncomingContext(ctx)
				w.note("handler", "%q %q", in.Value, md["grpc-encoding"])
				return word(strings.Repeat("ab", 20)), nil
			}), client: func(w *world) {
				var header metadata.MD
				w.call(within(w.t, time.Minute), strings.Repeat("ab", 20), grpc.Header(&header))
				w.noteMD("client", "header", header)
			}},
			program{name: "compressor " + name + ", empty message", settings: use, setup: withUnary(reversed), client: func(w *world) {
				w.call(within(w.t, time.Minute), "")
			}},
			program{name: "compressor " + name + ", a stream", settings: use, setup: withStream(func(w *world, ss grpc.ServerStream) error {
				return echo(ss)
			}), client: streams},
		)
	}
	return all
}

func tellsType(w *world, ctx context.Context, in *text) (*text, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	w.note("handler", "%q %q", in.GetValue(), md["content-type"])
	return word("reply"), nil
}

func interceptorPrograms() []program {
	serverUnary := func(name string) grpc.UnaryServerInterceptor {
		return func(ctx context.Context, in any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			order, _ := ctx.Value(tagged{}).(string)
			out, err := next(context.WithValue(ctx, tagged{}, order+name), in)
			if t, ok := out.(*text); ok {
				t.Value += " " + name + info.FullMethod
			}
			return out, err
		}
	}
	clientUnary := func(name string) grpc.UnaryClientInterceptor {
		return func(ctx context.Context, method string, in, out any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			in.(*text).Value += name
			err := next(metadata.AppendToOutgoingContext(ctx, "by", name), method, in, out, cc, opts...)
			out.(*text).Value += name
			return err
		}
	}
	return []program{
		{name: "interceptors of unary calls, in order", settings: settings{
			serverUnary: []grpc.UnaryServerInterceptor{serverUnary("a"), serverUnary("b"), serverUnary("c")},
			clientUnary: []grpc.UnaryClientInterceptor{clientUnary("x"), clientUnary("y"), clientUnary("z")},
		}, setup: withUnary(func(w *world, ctx context.Context, in *text) (*text, error) {
			md, _ := metadata.FromIncomingContext(ctx)
			w.note("handler", "%v %q %v", ctx.Value(tagged{}), in.Value, md["by"])
			return word("reply"), nil
		}), client: calls()},
		{name: "an interceptor of unary calls answers itself", settings: settings{serverUnary: []grpc.UnaryServerInterceptor{
			func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
				return nil, status.Error(codes.PermissionDenied, "no")
			},
		}}, setup: withUnary(hello), client: calls()},
		{name: "an interceptor of unary calls replaces the error", settings: settings{serverUnary: []grpc.UnaryServerInterceptor{
			func(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				_, err := next(ctx, in)
				return word("all right after all"), errors.Join(nil, ignore(err))
			},
		}}, setup: answers(func() error { return errors.New("bad") }), client: calls()},
		{name: "a client's interceptor does not call", settings: settings{clientUnary: []grpc.UnaryClientInterceptor{
			func(context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption) error {
				return errors.New("never")
			},
		}}, setup: withUnary(hello), client: calls()},
		{name: "a client's interceptor calls twice", settings: settings{clientUnary: []grpc.UnaryClientInterceptor{
			func(ctx context.Context, method string, in, out any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				if err := next(ctx, method, in, out, cc, opts...); err != nil {
					return err
				}
				return next(ctx, method, in, out, cc, opts...)
			},
		}}, setup: withUnary(hello), client: calls()},
		{name: "interceptors of streams, in order", settings: settings{
			serverStream: []grpc.StreamServerInterceptor{serverStream("a"), serverStream("b")},
			clientStream: []grpc.StreamClientInterceptor{clientStream("x"), clientStream("y")},
		}, setup: withStream(func(w *world, ss grpc.ServerStream) error {
			md, _ := metadata.FromIncomingContext(ss.Context())
			w.note("handler", "by %v", md["by"])
			return echo(ss)
		}), client: streams},
		{name: "an interceptor of streams refuses", settings: settings{serverStream: []grpc.StreamServerInterceptor{
			func(_ any, _ grpc.ServerStream, info *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
				return status.Errorf(codes.PermissionDenied, "%s %v %v", info.FullMethod, info.IsClientStream, info.IsServerStream)
			},
		}}, setup: withStream(func(_ *world, ss grpc.ServerStream) error { return echo(ss) }), client: func(w *world) {
			w.recv(w.opens(within(w.t, time.Minute), bidiDesc, bidi))
			w.recv(w.opens(within(w.t, time.Minute), downDesc, down))
		}},
		{name: "a client's interceptor opens no stream", settings: settings{clientStream: []grpc.StreamClientInterceptor{
			func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, grpc.Streamer, ...grpc.CallOption) (grpc.ClientStream, error) {
				return nil, errors.New("never")
			},
		}}, client: func(w *world) { w.opens(within(w.t, time.Minute), bidiDesc, bidi) }},
		{name: "interceptors of streams are not around unary methods called as streams", settings: settings{
			serverStream: []grpc.StreamServerInterceptor{serverStream("a")}, serverUnary: []grpc.UnaryServerInterceptor{serverUnary("u")},
		}, setup: withUnary(hello), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, unary)
			w.send(cs, "x")
			cs.CloseSend()
			w.recvAll(cs)
		}},
	}
}

func ignore(error) error { return nil }

// shouting is a stream whose messages get longer by each interceptor.
type shouting struct {
	grpc.ServerStream
	name string
}

func (s shouting) SendMsg(m any) error {
	m.(*text).Value += s.name
	return s.ServerStream.SendMsg(m)
}

func serverStream(name string) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		return next(srv, shouting{ss, name})
	}
}

type shoutingClient struct {
	grpc.ClientStream
	name string
}

func (s shoutingClient) SendMsg(m any) error {
	m.(*text).Value += s.name
	return s.ClientStream.SendMsg(m)
}

func clientStream(name string) grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		cs, err := next(metadata.AppendToOutgoingContext(ctx, "by", name), desc, cc, method, opts...)
		return shoutingClient{cs, name}, err
	}
}

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

func unknownPrograms() []program {
	invokes := func(method string) func(*world) {
		return func(w *world) {
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), method, word("x"), new(text)))
			cs, err := w.conn.NewStream(within(w.t, time.Minute), bidiDesc, method)
			w.noteErr("client", "open", err)
			if err == nil {
				w.recvAll(cs)
				w.noteMD("client", "trailer", cs.Trailer())
			}
		}
	}
	all := []program{
		{name: "unknown: a handler for it", settings: settings{unknown: func(_ any, ss grpc.ServerStream) error {
			method, _ := grpc.MethodFromServerStream(ss)
			if err := ss.RecvMsg(new(text)); err != nil && err != io.EOF {
				return err
			}
			return ss.SendMsg(word(method))
		}}, client: func(w *world) {
			out := new(text)
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), noSuch, word("x"), out))
			w.note("client", "%q", out.Value)
			cs := w.opens(within(w.t, time.Minute), bidiDesc, "/no/such")
			cs.CloseSend()
			w.recvAll(cs)
		}},
	}
	for _, method := range []string{noSuch, "/no.Service/Method", "/test.Service", "/", "//", "/a/b/c", "/test.Service/", "//Unary"} {
		all = append(all, program{name: fmt.Sprintf("unknown: %q", method), client: invokes(method)})
	}
	return all
}
