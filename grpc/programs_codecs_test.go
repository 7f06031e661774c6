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
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

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
