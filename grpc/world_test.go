package pgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/peregrine-rpc/peregrine"
	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
)

type text = wrapperspb.StringValue

// The service of the tests has a method of each kind. Streams of all kinds have one handler.
const (
	unary  = "/test.Service/Unary"
	up     = "/test.Service/Up"   // client streaming
	down   = "/test.Service/Down" // server streaming
	bidi   = "/test.Service/Bidi"
	noSuch = "/test.Service/NoSuch"
)

var (
	upDesc    = &grpc.StreamDesc{StreamName: "Up", ClientStreams: true}
	downDesc  = &grpc.StreamDesc{StreamName: "Down", ServerStreams: true}
	bidiDesc  = &grpc.StreamDesc{StreamName: "Bidi", ClientStreams: true, ServerStreams: true}
	unaryDesc = &grpc.StreamDesc{StreamName: "Unary"}
)

// settings are the options of both sides, for grpc-go and for Peregrine alike.
type settings struct {
	clientUnary          []grpc.UnaryClientInterceptor
	clientStream         []grpc.StreamClientInterceptor
	serverUnary          []grpc.UnaryServerInterceptor
	serverStream         []grpc.StreamServerInterceptor
	maxReceived, maxSent int
	callOptions          []grpc.CallOption
	unknown              grpc.StreamHandler
	stats                bool
	serverStats          bool // and not the client's
	more                 func(grpc.ServiceRegistrar)
}

// world is where a program runs: a server, a connection to it, and what all saw.
type world struct {
	t    *testing.T
	conn interface {
		grpc.ClientConnInterface
		Close() error
	}
	stop, gracefulStop func()
	settings           settings
	unary              func(ctx context.Context, in *text) (*text, error)
	stream             func(grpc.ServerStream) error

	mu  sync.Mutex
	saw map[string][]string
}

func (w *world) note(who, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saw[who] = append(w.saw[who], fmt.Sprintf(format, args...))
}

// awaits waits until so much was noted of who.
func (w *world) awaits(who string, notes int) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		w.mu.Lock()
		n := len(w.saw[who])
		w.mu.Unlock()
		if n >= notes {
			return
		}
	}
	w.t.Errorf("%s has not come so far", who)
}

// noteErr notes all that can be seen of an error.
func (w *world) noteErr(who, what string, err error) {
	if err == nil || err == io.EOF {
		w.note(who, "%s: %v", what, err)
		return
	}
	st, ok := status.FromError(err)
	w.note(who, "%s: %v %q %v %v", what, st.Code(), st.Message(), ok, st.Details())
}

// noteMD notes metadata, but for what names the program.
func (w *world) noteMD(who, what string, md metadata.MD) { w.note(who, "%s: %s", what, shown(md)) }

func shown(md metadata.MD) string {
	if md == nil {
		return "none"
	}
	var all []string
	for _, k := range slices.Sorted(maps.Keys(md)) {
		values := md[k]
		if k == ":authority" || k == "user-agent" || k == "grpc-accept-encoding" {
			values = []string{"…"}
		}
		all = append(all, fmt.Sprintf("%s=%q", k, values))
	}
	return strings.Join(all, " ")
}

// register puts the service of the tests into a server.
func (w *world) register(to grpc.ServiceRegistrar) {
	stream := func(_ any, ss grpc.ServerStream) error { return w.handler()(ss) }
	to.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Service", HandlerType: (*any)(nil), Metadata: "test.proto",
		Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(srv any, ctx context.Context, dec func(any) error, i grpc.UnaryServerInterceptor) (any, error) {
			in := new(text)
			if err := dec(in); err != nil {
				return nil, err
			}
			handle := func(ctx context.Context, in any) (any, error) {
				out, err := w.unary(ctx, in.(*text))
				if out == nil {
					return nil, err
				}
				return out, err
			}
			if i == nil {
				return handle(ctx, in)
			}
			return i(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: unary}, handle)
		}}},
		Streams: []grpc.StreamDesc{
			{StreamName: "Up", Handler: stream, ClientStreams: true},
			{StreamName: "Down", Handler: stream, ServerStreams: true},
			{StreamName: "Bidi", Handler: stream, ClientStreams: true, ServerStreams: true},
		},
	}, w)
	if w.settings.more != nil {
		w.settings.more(to)
	}
}

// serve sets the handler of streams; it may change while the world runs.
func (w *world) serve(h func(grpc.ServerStream) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stream = h
}

func (w *world) handler() func(grpc.ServerStream) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stream
}

func newWorld(t *testing.T, settings settings) *world {
	return &world{
		t: t, settings: settings, saw: map[string][]string{}, stream: echo,
		unary: func(_ context.Context, in *text) (*text, error) { return in, nil },
	}
}

// overTCP starts the world on grpc-go.
func (w *world) overTCP() {
	s := w.settings
	server := []grpc.ServerOption{grpc.ChainUnaryInterceptor(s.serverUnary...), grpc.ChainStreamInterceptor(s.serverStream...)}
	client := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithChainUnaryInterceptor(s.clientUnary...),
		grpc.WithChainStreamInterceptor(s.clientStream...), grpc.WithDefaultCallOptions(s.callOptions...),
	}
	if s.maxReceived != 0 {
		server = append(server, grpc.MaxRecvMsgSize(s.maxReceived))
	}
	if s.maxSent != 0 {
		server = append(server, grpc.MaxSendMsgSize(s.maxSent))
	}
	if s.unknown != nil {
		server = append(server, grpc.UnknownServiceHandler(s.unknown))
	}
	if s.stats || s.serverStats {
		server = append(server, grpc.StatsHandler(&statsNotes{w, "server stats"}))
	}
	if s.stats {
		client = append(client, grpc.WithStatsHandler(&statsNotes{w, "client stats"}))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(w.t, err)
	srv := grpc.NewServer(server...)
	w.register(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), client...)
	require.NoError(w.t, err)
	w.conn, w.stop, w.gracefulStop = conn, srv.Stop, srv.GracefulStop
	w.t.Cleanup(func() {
		conn.Close()
		srv.Stop()
		<-served
	})
}

// patient is for hosts that are busy with something else.
var patient = peregrine.WithConfig(peregrine.Config{KeepAlive: time.Minute, ConnectTimeout: time.Minute})

// overPeregrine starts it on Peregrine.
func (w *world) overPeregrine() {
	s := w.settings
	server := []pgrpc.ServerOption{pgrpc.ChainUnaryInterceptor(s.serverUnary...), pgrpc.ChainStreamInterceptor(s.serverStream...)}
	client := []pgrpc.DialOption{
		pgrpc.WithChainUnaryInterceptor(s.clientUnary...), pgrpc.WithChainStreamInterceptor(s.clientStream...),
		pgrpc.WithDefaultCallOptions(s.callOptions...),
	}
	if s.maxReceived != 0 {
		server = append(server, pgrpc.MaxRecvMsgSize(s.maxReceived))
	}
	if s.maxSent != 0 {
		server = append(server, pgrpc.MaxSendMsgSize(s.maxSent))
	}
	if s.unknown != nil {
		server = append(server, pgrpc.UnknownServiceHandler(s.unknown))
	}
	if s.stats || s.serverStats {
		server = append(server, pgrpc.StatsHandler(&statsNotes{w, "server stats"}))
	}
	if s.stats {
		client = append(client, pgrpc.WithStatsHandler(&statsNotes{w, "client stats"}))
	}
	srv := pgrpc.NewServer(server...)
	w.register(srv)
	endpoint, err := srv.Listen("udp://127.0.0.1:0", patient)
	require.NoError(w.t, err)
	conn, err := pgrpc.NewClient(endpoint.Addr().String(), append(client, pgrpc.WithEngine(patient))...)
	require.NoError(w.t, err)
	w.conn, w.stop, w.gracefulStop = conn, srv.Stop, srv.GracefulStop
	w.t.Cleanup(func() {
		conn.Close()
		srv.Stop()
	})
}

// statsNotes notes statistics. What is sent is noted apart, and at a client what has
// arrived but for messages: grpc-go tells of these beside each other.
type statsNotes struct {
	w   *world
	who string
}

type tagged struct{}

func (n *statsNotes) arrived(client bool) string {
	if client {
		return n.who + " arrived"
	}
	return n.who
}

func (n *statsNotes) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	n.w.note(n.who, "tag %s failfast=%v", info.FullMethodName, info.FailFast)
	return context.WithValue(ctx, tagged{}, n.who)
}

func (n *statsNotes) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if ctx.Value(tagged{}) != n.who {
		n.w.note(n.who, "not the context of TagRPC")
	}
	switch s := s.(type) {
	case *stats.Begin:
		n.w.note(n.who, "begin client=%v failfast=%v up=%v down=%v", s.Client, s.FailFast, s.IsClientStream, s.IsServerStream)
	case *stats.OutHeader:
		n.w.note(n.who, "out header client=%v method=%s compression=%q %s", s.Client, s.FullMethod, s.Compression, shown(s.Header))
	case *stats.InHeader:
		n.w.note(n.arrived(s.Client), "in header client=%v method=%s compression=%q %s", s.Client, s.FullMethod, s.Compression, shown(s.Header))
	case *stats.OutPayload:
		n.w.note(n.who+" sent", "out payload client=%v %v length=%d compressed=%d", s.Client, s.Payload, s.Length, s.CompressedLength)
	case *stats.InPayload:
		n.w.note(n.who, "in payload client=%v %v length=%d compressed=%d", s.Client, s.Payload, s.Length, s.CompressedLength)
	case *stats.OutTrailer:
		n.w.note(n.who, "out trailer client=%v %s", s.Client, shown(s.Trailer))
	case *stats.InTrailer:
		n.w.note(n.arrived(s.Client), "in trailer client=%v %s", s.Client, shown(s.Trailer))
	case *stats.End:
		n.w.note(n.who, "end client=%v error=%v trailer=%s", s.Client, s.Error, shown(s.Trailer))
	}
}

func (*statsNotes) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*statsNotes) HandleConn(context.Context, stats.ConnStats)                       {}

func word(s string) *text { return wrapperspb.String(s) }

// call makes a unary call and notes all that comes of it.
func (w *world) call(ctx context.Context, in string, opts ...grpc.CallOption) error {
	out := new(text)
	err := w.conn.Invoke(ctx, unary, word(in), out, opts...)
	w.noteErr("client", "call", err)
	if err == nil {
		w.note("client", "reply %q", out.Value)
	}
	return err
}

// recvAll receives to the end, and notes it.
func (w *world) recvAll(cs grpc.ClientStream) error {
	for {
		in := new(text)
		err := cs.RecvMsg(in)
		if err != nil {
			w.noteErr("client", "recv", err)
			return err
		}
		w.note("client", "recv %q", in.Value)
	}
}

// echo serves a stream: each message comes back.
func echo(ss grpc.ServerStream) error {
	for {
		in := new(text)
		err := ss.RecvMsg(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = ss.SendMsg(in)
		}
		if err != nil {
			return err
		}
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
