package pgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// opens is a stream of a kind.
func (w *world) opens(ctx context.Context, desc *grpc.StreamDesc, method string) grpc.ClientStream {
	cs, err := w.conn.NewStream(ctx, desc, method)
	w.noteErr("client", "open", err)
	return cs
}

func (w *world) send(cs grpc.ClientStream, s string) error {
	err := cs.SendMsg(word(s))
	w.noteErr("client", "send", err)
	return err
}

func (w *world) recv(cs grpc.ClientStream) error {
	in := new(text)
	err := cs.RecvMsg(in)
	w.noteErr("client", "recv "+in.Value, err)
	return err
}

// handles notes what a handler's stream says.
func handled(w *world, ss grpc.ServerStream) error {
	in := new(text)
	err := ss.RecvMsg(in)
	w.noteErr("handler", "recv "+in.Value, err)
	return err
}

func streamPrograms() []program {
	echoes := withStream(func(_ *world, ss grpc.ServerStream) error { return echo(ss) })
	sums := withStream(func(w *world, ss grpc.ServerStream) error {
		all := ""
		for {
			in := new(text)
			if err := ss.RecvMsg(in); err == io.EOF {
				return ss.SendMsg(word(all))
			} else if err != nil {
				return err
			}
			all += in.Value
		}
	})
	counts := func(n int) func(*world) {
		return withStream(func(w *world, ss grpc.ServerStream) error {
			if err := handled(w, ss); err != nil {
				return err
			}
			for i := range n {
				if err := ss.SendMsg(word(fmt.Sprint(i))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	waits := withStream(func(w *world, ss grpc.ServerStream) error {
		handled(w, ss)
		<-ss.Context().Done()
		return nil
	})
	return []program{
		{name: "bidi: ping-pong", setup: echoes, client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			for i := range 20 {
				w.send(cs, fmt.Sprint(i))
				w.recv(cs)
			}
			w.noteErr("client", "close", cs.CloseSend())
			w.recvAll(cs)
		}},
		{name: "bidi: all sent before any is received", setup: echoes, client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			for i := range 200 {
				w.send(cs, fmt.Sprint(i))
			}
			cs.CloseSend()
			w.recvAll(cs)
		}},
		{name: "bidi: empty messages", setup: echoes, client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			w.send(cs, "")
			w.send(cs, "")
			cs.CloseSend()
			w.recvAll(cs)
		}},
		{name: "bidi: messages of 200 KB", setup: echoes, client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			go func() {
				for i := range 8 {
					cs.SendMsg(word(strings.Repeat(fmt.Sprint(i), 200_000)))
				}
				cs.CloseSend()
			}()
			for {
				in := new(text)
				if err := cs.RecvMsg(in); err != nil {
					w.noteErr("client", "recv", err)
					return
				}
				w.note("client", "%d bytes of %s", len(in.Value), in.Value[:1])
			}
		}},
		{name: "bidi: nothing sent", setup: echoes, client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			cs.CloseSend()
			w.recvAll(cs)
			w.noteMD("client", "trailer", cs.Trailer())
		}},
		{name: "bidi: recv again behind the end", setup: echoes, client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			cs.CloseSend()
			w.recv(cs)
			w.recv(cs)
			w.recv(cs)
		}},
		{name: "bidi: recv again behind a failure", setup: endsWith(func() error { return status.Error(codes.NotFound, "gone") }), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			w.send(cs, "x")
			w.recvAll(cs)
			w.recv(cs)
			w.note("client", "send: %v", cs.SendMsg(word("late")))
		}},
		{name: "up: sum", setup: sums, client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), upDesc, up)
			for i := range 10 {
				w.send(cs, fmt.Sprint(i))
			}
			cs.CloseSend()
			w.recv(cs)
			w.noteMD("client", "trailer", cs.Trailer())
		}},
		{name: "up: none", setup: sums, client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), upDesc, up)
			cs.CloseSend()
			w.recv(cs)
		}},
		{name: "up: the handler answers before the client is done", setup: withStream(func(w *world, ss grpc.ServerStream) error {
			handled(w, ss)
			return ss.SendMsg(word("enough"))
		}), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), upDesc, up)
			w.send(cs, "x")
			w.recv(cs)
			for range 1000 {
				if err := cs.SendMsg(word("more")); err != nil {
					w.noteErr("client", "send", err)
					break
				}
			}
		}},
		{name: "up: the handler answers nothing", setup: withStream(func(w *world, ss grpc.ServerStream) error { return nil }), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), upDesc, up)
			cs.CloseSend()
			w.recv(cs)
		}},
		{name: "up: the handler answers twice", setup: withStream(func(w *world, ss grpc.ServerStream) error {
			w.noteErr("handler", "send", ss.SendMsg(word("one")))
			w.noteErr("handler", "send", ss.SendMsg(word("two")))
			return nil
		}), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), upDesc, up)
			cs.CloseSend()
			w.recv(cs)
		}},
		{name: "up: the handler answers and fails", setup: withStream(func(w *world, ss grpc.ServerStream) error {
			ss.SendMsg(word("one"))
			return status.Error(codes.Aborted, "but")
		}), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), upDesc, up)
			cs.CloseSend()
			w.recv(cs)
		}},
		{name: "down: count", setup: counts(30), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), downDesc, down)
			w.send(cs, "n")
			w.noteErr("client", "close", cs.CloseSend())
			w.recvAll(cs)
		}},
		{name: "down: none", setup: counts(0), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), downDesc, down)
			w.send(cs, "n")
			w.recvAll(cs)
		}},
		{name: "down: a second request", setup: waits, client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), downDesc, down)
			w.send(cs, "n")
			w.awaits("handler", 1)
			w.send(cs, "m")
			w.recv(cs)
		}},
		{name: "down: two requests by a client of another kind", setup: counts(1), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, down)
			w.send(cs, "n")
			w.send(cs, "m")
			cs.CloseSend()
			w.recvAll(cs)
		}},
		{name: "down: no request", setup: counts(1), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, down)
			cs.CloseSend()
			w.recvAll(cs)
		}},
		{name: "down, called as a unary method", setup: counts(1), client: func(w *world) {
			out := new(text)
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), down, word("n"), out))
			w.note("client", "%q", out.Value)
			w.noteErr("client", "again", w.conn.Invoke(within(w.t, time.Minute), down, word("n"), out))
		}},
		{name: "down of three, called as a unary method", setup: counts(3), client: func(w *world) {
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), down, word("n"), new(text)))
		}},
		{name: "down of none, called as a unary method", setup: counts(0), client: func(w *world) {
			w.noteErr("client", "call", w.conn.Invoke(within(w.t, time.Minute), down, word("n"), new(text)))
		}},
		{name: "send behind CloseSend", setup: echoes, client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			w.noteErr("client", "close", cs.CloseSend())
			w.send(cs, "late")
			w.recv(cs)
			w.noteErr("client", "close again", cs.CloseSend())
			w.note("client", "context %v", cs.Context().Err())
		}},
		{name: "a message that does not encode aborts the stream", setup: withStream(func(w *world, ss grpc.ServerStream) error {
			w.note("handler", "begun")
			<-ss.Context().Done()
			w.noteErr("handler", "recv", ss.RecvMsg(new(text)))
			return nil
		}), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			w.awaits("handler", 1)
			w.noteErr("client", "send", cs.SendMsg("no message"))
			w.recv(cs)
			w.note("client", "context %v", cs.Context().Err())
		}},
		{name: "a message into the wrong type", setup: echoes, client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			w.send(cs, "x")
			w.noteErr("client", "recv", cs.RecvMsg(new(int)))
			w.note("client", "context %v", cs.Context().Err())
		}},
		{name: "nil messages on a stream are zero bytes", setup: withStream(func(w *world, ss grpc.ServerStream) error {
			handled(w, ss)
			w.noteErr("handler", "send", ss.SendMsg(nil))
			return nil
		}), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			w.noteErr("client", "send", cs.SendMsg(nil))
			cs.CloseSend()
			w.recvAll(cs)
		}},
		{name: "Header finishes a stream without one", setup: withStream(func(*world, grpc.ServerStream) error {
			return status.Error(codes.NotFound, "gone")
		}), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			md, err := cs.Header()
			w.noteErr("client", "header", err)
			w.noteMD("client", "header", md)
			w.note("client", "context %v", cs.Context().Err())
			w.noteMD("client", "trailer", cs.Trailer())
			w.recvAll(cs)
		}},
		{name: "a stream's context ends with it", setup: echoes, client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			w.note("client", "context %v", cs.Context().Err())
			cs.CloseSend()
			w.recvAll(cs)
			w.note("client", "context %v", cs.Context().Err())
		}},
		{name: "a hundred streams side by side", setup: echoes, client: func(w *world) {
			var all []grpc.ClientStream
			for range 100 {
				all = append(all, w.opens(within(w.t, time.Minute), bidiDesc, bidi))
			}
			for i, cs := range all {
				w.send(cs, fmt.Sprint(i))
			}
			for _, cs := range all {
				w.recv(cs)
				cs.CloseSend()
				w.recvAll(cs)
			}
		}},
	}
}

// endPrograms are about how streams end before their time, and what a handler's failures do.
func endPrograms() []program {
	waits := withStream(func(w *world, ss grpc.ServerStream) error {
		handled(w, ss)
		ss.SendMsg(word("begun"))
		err := handled(w, ss)
		w.note("handler", "context %v", ss.Context().Err())
		w.note("handler", "send %v", status.Code(ss.SendMsg(word("late"))))
		w.noteErr("handler", "header", ss.SendHeader(metadata.Pairs("a", "b")))
		return err
	})
	return []program{
		{name: "the client cancels a stream", setup: waits, client: func(w *world) {
			ctx, cancel := context.WithCancel(context.Background())
			cs := w.opens(ctx, bidiDesc, bidi)
			w.send(cs, "x")
			w.recv(cs)
			cancel()
			w.recv(cs)
			w.recv(cs)
			w.note("client", "send %v", cs.SendMsg(word("late")) != nil)
			w.awaits("handler", 5)
		}},
		{name: "the client's deadline ends a stream", setup: withStream(func(w *world, ss grpc.ServerStream) error {
			_, ok := ss.Context().Deadline()
			w.note("handler", "deadline %v", ok)
			<-ss.Context().Done()
			return ss.Context().Err()
		}), client: func(w *world) {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			cs := w.opens(ctx, bidiDesc, bidi)
			w.note("client", "%v", status.Code(cs.RecvMsg(new(text)))) // whose text depends on who was first
			w.note("client", "%v", status.Code(cs.RecvMsg(new(text))))
		}},
		{name: "a context that is canceled opens no stream", client: func(w *world) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			w.opens(ctx, bidiDesc, bidi)
		}},
		{name: "a deadline that has passed opens no stream", client: func(w *world) {
			ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
			defer cancel()
			w.opens(ctx, bidiDesc, bidi)
		}},
		{name: "the connection is closed under a stream", setup: waits, client: func(w *world) {
			cs := w.opens(context.Background(), bidiDesc, bidi)
			w.send(cs, "x")
			w.recv(cs)
			w.conn.Close()
			w.recv(cs)
		}, differs: "what a handler's Send says once the connection is gone"},
		{name: "the server stops under a stream", setup: withStream(func(w *world, ss grpc.ServerStream) error {
			ss.SendMsg(word("begun"))
			<-ss.Context().Done()
			w.note("handler", "context %v", ss.Context().Err())
			return nil
		}), client: func(w *world) {
			cs := w.opens(context.Background(), bidiDesc, bidi)
			w.recv(cs)
			w.stop()
			w.note("client", "%v", status.Code(cs.RecvMsg(new(text))))
			w.awaits("handler", 1)
		}},
		{name: "the server stops gracefully under a stream", setup: withStream(func(_ *world, ss grpc.ServerStream) error { return echo(ss) }), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			w.send(cs, "a")
			w.recv(cs)
			stopped := make(chan struct{})
			go func() {
				w.gracefulStop()
				close(stopped)
			}()
			time.Sleep(50 * time.Millisecond)
			w.send(cs, "b")
			w.recv(cs)
			cs.CloseSend()
			w.recvAll(cs)
			<-stopped
		}},
		{name: "a handler's failed RecvMsg is what the client hears", setup: withStream(func(w *world, ss grpc.ServerStream) error {
			w.noteErr("handler", "recv", ss.RecvMsg(new(int)))
			w.note("handler", "recv again %v", ss.RecvMsg(new(text)) != nil) // the client's end, or the stream's
			w.note("handler", "context %v", ss.Context().Err())
			return status.Error(codes.NotFound, "lost")
		}), client: streams},
		{name: "a handler's failed SendMsg is what the client hears", setup: withStream(func(w *world, ss grpc.ServerStream) error {
			handled(w, ss)
			ss.SetTrailer(metadata.Pairs("a", "b"))
			w.noteErr("handler", "send", ss.SendMsg("no message"))
			w.note("handler", "send again %v", status.Code(ss.SendMsg(word("x"))))
			return status.Error(codes.NotFound, "lost")
		}), client: streams},
		{name: "a handler's failed SendMsg is heard before it returns", setup: withStream(func(w *world, ss grpc.ServerStream) error {
			ss.SendMsg("no message")
			w.awaits("client heard", 1)
			return nil
		}), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			w.recv(cs)
			w.note("client heard", "yes")
		}},
		{name: "a unary handler's reply does not encode", setup: withUnary(func(w *world, ctx context.Context, _ *text) (*text, error) {
			grpc.SetHeader(ctx, metadata.Pairs("a", "h"))
			grpc.SetTrailer(ctx, metadata.Pairs("a", "t"))
			return word("\xff"), nil
		}), client: func(w *world) {
			var header, trailer metadata.MD
			w.call(within(w.t, time.Minute), "you", grpc.Header(&header), grpc.Trailer(&trailer))
			w.noteMD("client", "header", header)
			w.noteMD("client", "trailer", trailer)
		}},
		{name: "a handler returns while the client sends", setup: withStream(func(w *world, ss grpc.ServerStream) error {
			return errors.New("no")
		}), client: func(w *world) {
			cs := w.opens(within(w.t, time.Minute), bidiDesc, bidi)
			var err error
			for deadline := time.Now().Add(time.Minute); err == nil && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				err = cs.SendMsg(word("x"))
			}
			w.noteErr("client", "send", err)
			w.recvAll(cs)
		}},
		{name: "a handler uses its stream behind its end", setup: func(w *world) {
			withStream(func(w *world, ss grpc.ServerStream) error {
				go func() {
					<-ss.Context().Done()
					w.noteErr("late", "header", ss.SetHeader(metadata.Pairs("a", "b")))
					w.note("late", "send %v", status.Code(ss.SendMsg(word("x"))))
					w.noteErr("late", "trailer", grpc.SetTrailer(ss.Context(), metadata.Pairs("a", "b")))
				}()
				handled(w, ss)
				return nil
			})(w)
		}, client: func(w *world) {
			streams(w)
			w.awaits("late", 3)
		}},
	}
}
