package pgrpc_test

import (
	"context"
	"encoding/binary"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/peregrine-rpc/peregrine"
	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
)

// oldest is the opening of a client that does not know of joined messages: terms that say
// nothing, and no metadata.
var oldest = []byte{5, 0, 0, 0, 0, 0, 0}

// readsOldest is how a server that does not know of joined messages reads an opening without
// metadata.
func readsOldest(b []byte) (message []byte, ok bool) {
	cut := func(b []byte) (block, rest []byte) {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			ok = false
			return nil, nil
		}
		return b[size:][:n], b[size:][n:]
	}
	ok = true
	terms, rest := cut(b)
	for range 5 {
		_, terms = cut(terms)
	}
	return rest[min(1, len(rest)):], ok && len(rest) > 0 && rest[0] == 0
}

// oldServer echoes, and does not know of joined messages.
func oldServer(t *testing.T, url string) *peregrine.Endpoint {
	server, err := peregrine.Listen(url, patient)
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	refused := &peregrine.Error{Code: peregrine.Internal, Message: "malformed frame"}
	require.NoError(t, server.HandleStreamName(bidi, func(st *peregrine.Stream) error {
		opening, err := st.Header()
		if err != nil {
			return err
		}
		if _, ok := readsOldest(opening); !ok {
			return refused
		}
		if err := st.SendHeader([]byte{0, 0}); err != nil {
			return err
		}
		for {
			switch message, err := st.Recv(nil); err {
			case nil:
				if err := st.Send(message); err != nil {
					return err
				}
			case io.EOF:
				return nil
			default:
				return err
			}
		}
	}))
	require.NoError(t, server.HandleName(unary, func(q peregrine.Request) {
		message, ok := readsOldest(q.Data())
		if !ok {
			q.Fail(refused.Code, refused.Message)
			return
		}
		q.Reply(append([]byte{0}, message...))
	}))
	return server
}

// texts are messages, one of which is empty on the way.
var texts = []string{"one", "", "three"}

// echoed has texts sent at once and come back, over a stream of a server that echoes.
func echoed(t *testing.T, conn grpc.ClientConnInterface) error {
	t.Helper()
	cs, err := conn.NewStream(within(t, 10*time.Minute), bidiDesc, bidi, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	for _, s := range texts {
		if err := cs.SendMsg(word(s)); err != nil && err != io.EOF { // and RecvMsg says why
			return err
		}
	}
	if err := cs.CloseSend(); err != nil {
		return err
	}
	for _, want := range texts {
		got := new(text)
		if err := cs.RecvMsg(got); err != nil {
			return err
		}
		require.Equal(t, want, got.Value)
	}
	require.Equal(t, io.EOF, cs.RecvMsg(new(text)))
	return nil
}

func echoing(t *testing.T) *world {
	w := newWorld(t, settings{})
	w.unary = func(_ context.Context, in *text) (*text, error) { return in, nil }
	w.serve(echo)
	return w
}

// openings notes of each stream that a client opens whether it says that it sends joined.
type openings struct {
	mu     sync.Mutex
	joined []bool
}

func (o *openings) took() []bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	joined := o.joined
	o.joined = nil
	return joined
}

func (o *openings) dial(t *testing.T, addr string) *pgrpc.ClientConn {
	t.Helper()
	conn, err := pgrpc.NewClient(addr, pgrpc.WithEngine(patient,
		peregrine.WithStreamInterceptor(func(next peregrine.StreamFunc) peregrine.StreamFunc {
			return func(ctx context.Context, m peregrine.Method, header []byte) (*peregrine.Stream, error) {
				o.mu.Lock()
				o.joined = append(o.joined, header[0] == 0)
				o.mu.Unlock()
				return next(ctx, m, header)
			}
		})))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// A client sends joined messages once it has heard from the server, by a stream or a call.
func TestMessagesAreJoinedOnceTheServerHasAnswered(t *testing.T) {
	t.Parallel()
	srv := pgrpc.NewServer()
	echoing(t).register(srv)
	endpoint, err := srv.Listen("udp://127.0.0.1:0", patient)
	require.NoError(t, err)
	t.Cleanup(srv.Stop)
	first := map[string]func(t *testing.T, conn *pgrpc.ClientConn){
		"stream": func(t *testing.T, conn *pgrpc.ClientConn) { require.NoError(t, echoed(t, conn)) },
		"call": func(t *testing.T, conn *pgrpc.ClientConn) {
			require.NoError(t, conn.Invoke(within(t, 10*time.Minute), unary, word("hi"), new(text), grpc.WaitForReady(true)))
		},
	}
	for name, begin := range first {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var o openings
			conn := o.dial(t, endpoint.Addr().String())
			begin(t, conn)
			require.NotContains(t, o.took(), true)
			require.NoError(t, echoed(t, conn))
			require.Equal(t, []bool{true}, o.took())
		})
	}
}

// A server that does not know of joined messages is not sent any, and its own are understood.
func TestAServerThatDoesNotKnowJoinedMessages(t *testing.T) {
	t.Parallel()
	var o openings
	conn := o.dial(t, oldServer(t, "udp://127.0.0.1:0").Addr().String())
	for i := range 3 {
		out := new(text)
		require.NoError(t, conn.Invoke(within(t, 10*time.Minute), unary, word(strconv.Itoa(i)), out, grpc.WaitForReady(true)))
		require.Equal(t, strconv.Itoa(i), out.Value)
		require.NoError(t, echoed(t, conn))
	}
	require.Equal(t, []bool{false, false, false}, o.took())
}

// A server that gives its place to an older one, while clients take it for what it was:
// what they send joined the older one refuses, and does not take for something else.
func TestAServerThatComesBackOlder(t *testing.T) {
	t.Parallel()
	srv := pgrpc.NewServer()
	echoing(t).register(srv)
	endpoint, err := srv.Listen("udp://127.0.0.1:0", patient)
	require.NoError(t, err)
	t.Cleanup(srv.Stop)
	addr := endpoint.Addr().String()
	var o openings
	conn := o.dial(t, addr)
	require.NoError(t, echoed(t, conn))
	require.NoError(t, echoed(t, conn))
	require.Equal(t, []bool{false, true}, o.took())
	srv.Stop()
	oldServer(t, "udp://"+addr)
	for err = echoed(t, conn); status.Code(err) == codes.Unavailable; { // the server that ended
		err = echoed(t, conn)
	}
	require.Equal(t, codes.Internal, status.Code(err), "%v", err)
	require.NoError(t, echoed(t, conn))
	took := o.took()
	require.Equal(t, []bool{true, false}, took[len(took)-2:])
}

// A client that does not know of joined messages is not sent any, nor anything else that it
// would not understand, and its own are understood.
func TestAClientThatDoesNotKnowJoinedMessages(t *testing.T) {
	t.Parallel()
	w := echoing(t)
	w.overPeregrine()
	session := w.conn.(*pgrpc.ClientConn).Session()
	ctx := within(t, 10*time.Minute)
	reply, err := session.Method(unary).Call(ctx, append(oldest[:len(oldest):len(oldest)], encoded(t, "hi")...), nil)
	require.NoError(t, err)
	require.Equal(t, append([]byte{0}, encoded(t, "hi")...), reply)

	st, err := session.Method(bidi).Stream(ctx, oldest)
	require.NoError(t, err)
	for _, s := range texts {
		require.NoError(t, st.Send(encoded(t, s)))
	}
	require.NoError(t, st.CloseSend())
	header, err := st.Header()
	require.NoError(t, err)
	require.Equal(t, []byte{0, 0}, header)
	for _, s := range texts {
		message, err := st.Recv(nil)
		require.NoError(t, err)
		require.Equal(t, string(encoded(t, s)), string(message))
	}
	_, err = st.Recv(nil)
	require.Equal(t, io.EOF, err)
}

func encoded(t *testing.T, s string) []byte {
	t.Helper()
	b, err := proto.Marshal(word(s))
	require.NoError(t, err)
	return b
}
