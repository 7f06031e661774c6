package pgrpc_test

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

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
