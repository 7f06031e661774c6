package pgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"google.golang.org/protobuf/types/known/emptypb"
)

// withUnary serves unary calls by h.
func withUnary(h func(w *world, ctx context.Context, in *text) (*text, error)) func(*world) {
	return func(w *world) {
		w.unary = func(ctx context.Context, in *text) (*text, error) { return h(w, ctx, in) }
	}
}

// hello greets, and notes what it is asked.
func hello(w *world, _ context.Context, in *text) (*text, error) {
	w.note("handler", "in %q", in.Value)
	return word("hello " + in.Value), nil
}

// calls is a client that makes a unary call.
func calls(opts ...grpc.CallOption) func(*world) {
	return func(w *world) { w.call(within(w.t, time.Minute), "you", opts...) }
}

func unaryPrograms() []program {
	return []program{
		{name: "unary", setup: withUnary(hello), client: calls()},
		{name: "unary, empty message", setup: withUnary(hello), client: func(w *world) { w.call(within(w.t, time.Minute), "") }},
		{name: "unary, 1 MiB", setup: withUnary(func(_ *world, _ context.Context, in *text) (*text, error) {
			return word(strings.ToUpper(in.Value)), nil
		}), client: func(w *world) { w.call(within(w.t, time.Minute), strings.Repeat("a", 1<<20)) }},
		{name: "unary, nil request is zero bytes", setup: withUnary(hello), client: func(w *world) {
			out := new(text)
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), unary, nil, out))
			w.note("client", "%q", out.Value)
		}},
		{name: "unary, nil reply of the handler is zero bytes", setup: withUnary(func(*world, context.Context, *text) (*text, error) {
			return nil, nil
		}), client: calls()},
		{name: "unary, nil for the reply", setup: withUnary(hello), client: func(w *world) {
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), unary, word("you"), nil))
		}},
		{name: "unary, a typed nil request", setup: withUnary(hello), client: func(w *world) {
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), unary, (*text)(nil), new(text)))
		}},
		{name: "unary, a request that is no message", setup: withUnary(hello), client: func(w *world) {
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), unary, "text", new(text)))
		}},
		{name: "unary, a reply that is no message", setup: withUnary(hello), client: func(w *world) {
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), unary, word("you"), new(string)))
		}},
		{name: "unary, text that is no UTF-8", setup: withUnary(hello), client: func(w *world) { w.call(within(w.t, time.Minute), "\xff") }},
		{name: "unary, a reply that is no UTF-8", setup: withUnary(func(*world, context.Context, *text) (*text, error) {
			return word("\xff"), nil
		}), client: calls()},
		{name: "unary, a request of another type", setup: withUnary(hello), client: func(w *world) {
			out := new(text)
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), unary, &emptypb.Empty{}, out))
			w.note("client", "%q", out.Value)
		}},
		{name: "unary, a context that is canceled already", setup: withUnary(hello), client: func(w *world) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			w.call(ctx, "you")
		}},
		{name: "unary, a deadline that has passed", setup: withUnary(hello), client: func(w *world) {
			ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
			defer cancel()
			w.call(ctx, "you")
		}},
		{name: "unary, the client cancels", setup: withUnary(func(w *world, ctx context.Context, _ *text) (*text, error) {
			w.note("handler", "begun")
			<-ctx.Done()
			w.note("handler", "%v", ctx.Err())
			return nil, ctx.Err()
		}), client: func(w *world) {
			ctx, cancel := context.WithCancel(context.Background())
			go func() {
				w.awaits("handler", 1)
				cancel()
			}()
			w.call(ctx, "you")
		}},
		{name: "unary, the client's deadline", setup: withUnary(func(w *world, ctx context.Context, _ *text) (*text, error) {
			_, ok := ctx.Deadline()
			w.note("handler", "deadline %v", ok)
			<-ctx.Done()
			return nil, ctx.Err()
		}), client: func(w *world) {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			err := w.conn.Invoke(ctx, unary, word("you"), new(text))
			w.note("client", "%v", status.Code(err)) // the text depends on who was first
		}},
		{name: "unary, no deadline", setup: withUnary(func(w *world, ctx context.Context, _ *text) (*text, error) {
			_, ok := ctx.Deadline()
			w.note("handler", "deadline %v, err %v", ok, ctx.Err())
			return word(""), nil
		}), client: func(w *world) { w.call(context.Background(), "you") }},
		{name: "unary, the handler's context ends with it", setup: withUnary(func(w *world, ctx context.Context, _ *text) (*text, error) {
			context.AfterFunc(ctx, func() { w.note("context", "%v", ctx.Err()) })
			return word(""), nil
		}), client: func(w *world) {
			w.call(within(w.t, time.Minute), "you")
			w.awaits("context", 1)
		}},
		{name: "unary, the handler's own method", setup: withUnary(func(w *world, ctx context.Context, _ *text) (*text, error) {
			method, ok := grpc.Method(ctx)
			p, hasPeer := peer.FromContext(ctx)
			w.note("handler", "%s %v, peer %v, auth %v", method, ok, hasPeer && p.Addr != nil && p.LocalAddr != nil, p.AuthInfo)
			return word(""), nil
		}), client: calls(), differs: "AuthInfo of a server's peer"},
		{name: "unary, called as a stream", setup: withUnary(hello), client: func(w *world) {
			cs, err := w.conn.NewStream(within(w.t, time.Minute), unaryDesc, unary)
			w.noteErr("client", "open", err)
			w.noteErr("client", "send", cs.SendMsg(word("you")))
			w.noteErr("client", "close", cs.CloseSend())
			out := new(text)
			w.noteErr("client", "recv", cs.RecvMsg(out))
			w.note("client", "%q", out.Value)
			w.noteErr("client", "recv", cs.RecvMsg(out))
		}},
		{name: "unary, two messages", setup: withUnary(hello), client: func(w *world) {
			cs, _ := w.conn.NewStream(within(w.t, time.Minute), bidiDesc, unary)
			w.noteErr("client", "send", cs.SendMsg(word("you")))
			w.noteErr("client", "send", cs.SendMsg(word("two")))
			cs.CloseSend()
			w.recvAll(cs)
		}},
		{name: "unary, no message", setup: withUnary(hello), client: func(w *world) {
			cs, _ := w.conn.NewStream(within(w.t, time.Minute), bidiDesc, unary)
			cs.CloseSend()
			w.recvAll(cs)
		}},
		{name: "unary, a message without its end does not reach the handler", setup: withUnary(hello), client: func(w *world) {
			ctx, cancel := context.WithCancel(context.Background())
			cs, _ := w.conn.NewStream(ctx, bidiDesc, unary)
			w.noteErr("client", "send", cs.SendMsg(word("you")))
			time.Sleep(50 * time.Millisecond)
			cancel()
			w.recvAll(cs)
		}},
		{name: "unary, many at a time", setup: withUnary(func(_ *world, _ context.Context, in *text) (*text, error) { return in, nil }), client: func(w *world) {
			done := make(chan error)
			for i := range 200 {
				go func() {
					out := new(text)
					err := w.conn.Invoke(within(w.t, time.Minute), unary, word(fmt.Sprint(i)), out)
					if err == nil && out.Value != fmt.Sprint(i) {
						err = errors.New("another's reply: " + out.Value)
					}
					done <- err
				}()
			}
			for range 200 {
				w.noteErr("client", "call", <-done)
			}
		}},
		{name: "unary, on a connection that is closed", setup: withUnary(hello), client: func(w *world) {
			w.noteErr("client", "close", w.conn.Close())
			w.call(within(w.t, time.Minute), "you")
			_, err := w.conn.NewStream(within(w.t, time.Minute), bidiDesc, bidi)
			w.noteErr("client", "open", err)
			w.noteErr("client", "close again", w.conn.Close())
		}},
		{name: "unary, the connection is closed meanwhile", setup: withUnary(func(w *world, ctx context.Context, _ *text) (*text, error) {
			w.note("handler", "begun")
			<-ctx.Done()
			w.note("handler", "%v", ctx.Err())
			return nil, ctx.Err()
		}), client: func(w *world) {
			go func() {
				w.awaits("handler", 1)
				w.conn.Close()
			}()
			w.call(within(w.t, time.Minute), "you")
			w.awaits("handler", 2)
		}},
		{name: "unary, the server stops meanwhile", setup: withUnary(func(w *world, ctx context.Context, _ *text) (*text, error) {
			w.note("handler", "begun")
			<-ctx.Done()
			w.note("handler", "%v", ctx.Err())
			return nil, ctx.Err()
		}), client: func(w *world) {
			go func() {
				w.awaits("handler", 1)
				w.stop()
			}()
			err := w.conn.Invoke(within(w.t, time.Minute), unary, word("you"), new(text))
			w.note("client", "%v", status.Code(err))
			w.awaits("handler", 2)
		}},
		{name: "unary, the server stops gracefully meanwhile", setup: withUnary(func(w *world, ctx context.Context, _ *text) (*text, error) {
			w.note("handler", "begun")
			w.awaits("stopping", 1)
			time.Sleep(50 * time.Millisecond)
			return word("done"), nil
		}), client: func(w *world) {
			stopped := make(chan struct{})
			go func() {
				w.awaits("handler", 1)
				w.note("stopping", "yes")
				w.gracefulStop()
				close(stopped)
			}()
			w.call(within(w.t, time.Minute), "you")
			<-stopped
			err := w.conn.Invoke(within(w.t, time.Minute), unary, word("you"), new(text))
			w.note("client", "%v", status.Code(err))
		}},
	}
}

// answers is a handler that fails.
func answers(err func() error) func(*world) {
	return withUnary(func(*world, context.Context, *text) (*text, error) { return nil, err() })
}

// endsWith is a handler of streams that fails behind a message.
func endsWith(err func() error) func(*world) {
	return withStream(func(w *world, ss grpc.ServerStream) error {
		if err := ss.RecvMsg(new(text)); err != nil {
			return err
		}
		ss.SendMsg(word("before"))
		return err()
	})
}

// streams is a client that sends a message and receives all.
func streams(w *world) {
	cs, err := w.conn.NewStream(within(w.t, time.Minute), bidiDesc, bidi)
	w.noteErr("client", "open", err)
	w.noteErr("client", "send", cs.SendMsg(word("you")))
	w.noteErr("client", "close", cs.CloseSend())
	w.recvAll(cs)
	w.noteMD("client", "trailer", cs.Trailer())
}

// lying is an error whose status is OK.
type lying struct{}

func (lying) Error() string              { return "all is well" }
func (lying) GRPCStatus() *status.Status { return status.New(codes.OK, "") }

// without is one whose status is nil.
type without struct{}

func (without) Error() string              { return "no status" }
func (without) GRPCStatus() *status.Status { return nil }

// failures are all kinds of errors that a handler may return.
func failures() map[string]func() error {
	detailed := func(text string) func() error {
		return func() error {
			st, err := status.New(codes.Aborted, text).WithDetails(&errdetails.ErrorInfo{Reason: "why", Domain: "here"}, &errdetails.RequestInfo{RequestId: "1"})
			if err != nil {
				return err
			}
			return st.Err()
		}
	}
	all := map[string]func() error{
		"a plain error":                    func() error { return errors.New("plain") },
		"an error without text":            func() error { return errors.New("") },
		"io.EOF":                           func() error { return io.EOF },
		"io.ErrUnexpectedEOF":              func() error { return io.ErrUnexpectedEOF },
		"context.Canceled":                 func() error { return context.Canceled },
		"context.DeadlineExceeded":         func() error { return context.DeadlineExceeded },
		"a wrapped context error":          func() error { return fmt.Errorf("within: %w", context.DeadlineExceeded) },
		"a wrapped status":                 func() error { return fmt.Errorf("within: %w", status.Error(codes.NotFound, "gone")) },
		"joined statuses":                  func() error { return errors.Join(status.Error(codes.NotFound, "a"), status.Error(codes.Aborted, "b")) },
		"an error with an OK status":       func() error { return lying{} },
		"an error that wraps an OK status": func() error { return fmt.Errorf("within: %w", lying{}) },
		"an error whose status is nil":     func() error { return without{} },
		"a code beyond gRPC's":             func() error { return status.Error(codes.Code(77), "beyond") },
		"a status without text":            func() error { return status.Error(codes.DataLoss, "") },
		"text that is no UTF-8":            func() error { return status.Error(codes.Internal, "a\xff\xfeb") },
		"text with lines, percent, marks":  func() error { return status.Error(codes.Internal, "a\nb\r%41 ü 世\x00") },
		"a text of 10 KB":                  func() error { return status.Error(codes.Internal, strings.Repeat("long ", 2000)) },
		"details":                          detailed("with details"),
		"details, text that is no UTF-8":   detailed("\xff"),
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		all["code "+code.String()] = func() error { return status.Error(code, "said so") }
	}
	return all
}

func statusPrograms() (all []program) {
	for name, err := range failures() {
		all = append(all,
			program{name: "unary fails by " + name, setup: answers(err), client: func(w *world) {
				var header, trailer metadata.MD
				w.call(within(w.t, time.Minute), "you", grpc.Header(&header), grpc.Trailer(&trailer))
				w.noteMD("client", "header", header)
				w.noteMD("client", "trailer", trailer)
			}},
			program{name: "stream fails by " + name, setup: endsWith(err), client: streams},
		)
	}
	return all
}
