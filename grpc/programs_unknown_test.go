package pgrpc_test

import (
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
)

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
