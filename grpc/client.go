package pgrpc

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"

	"github.com/peregrine-rpc/peregrine"
)

// ClientConn is a [grpc.ClientConnInterface] over a Peregrine session: what the
// generated NewXClient functions take. Any goroutine may use it.
type ClientConn struct {
	session *peregrine.Session
	target  string
	closed  atomic.Bool

	authority, userAgent string
	accepted             string // compressors
	callOptions          []grpc.CallOption
	unary                grpc.UnaryClientInterceptor
	stream               grpc.StreamClientInterceptor
	creds                []credentials.PerRPCCredentials
	stats                stats.Handler
	engine               []peregrine.Option

	usual   string // the terms of calls that have none of their own
	methods methods
	joins   atomic.Bool // the server has ableToJoin, as it said last
}

var _ grpc.ClientConnInterface = (*ClientConn)(nil)

// NewClient is a connection to the server at target, "host:port", with a session and an
// endpoint of its own, which Close closes. Like grpc.NewClient it does not wait for the
// server; but a name is looked up at once.
func NewClient(target string, opts ...DialOption) (*ClientConn, error) {
	if _, addr, ok := strings.Cut(target, ":///"); ok {
		return nil, fmt.Errorf("pgrpc: %q names a resolver, and there are none: write %q, of which all addresses are tried", target, addr)
	}
	cc := newClientConn(target, opts)
	engine := append([]peregrine.Option{peregrine.WithLazyDial(), peregrine.WithConfig(peregrine.Config{
		MaxMessage: maxMessage(cc.maxReceived()),
	})}, cc.engine...)
	session, err := peregrine.Dial(context.Background(), target, engine...)
	if err != nil {
		return nil, rpcError(err)
	}
	cc.session = session
	return cc, nil
}

// NewConn is a connection over a session that the program has from elsewhere, such as
// one of many of an endpoint. Close closes the session. WithEngine has no effect.
func NewConn(session *peregrine.Session, opts ...DialOption) *ClientConn {
	cc := newClientConn(session.Peer().String(), opts)
	cc.session = session
	return cc
}

func newClientConn(target string, opts []DialOption) *ClientConn {
	cc := &ClientConn{target: target, authority: target, userAgent: userAgent}
	if encoding.GetCompressor("gzip") != nil { // the one of grpc's own, which does not tell of others
		cc.accepted = "gzip"
	}
	for _, opt := range opts {
		opt(cc)
	}
	t := cc.terms(&callInfo{})
	cc.usual = string(t.block())
	return cc
}

const userAgent = "grpc-go-peregrine/" + grpc.Version

// terms of a call.
func (cc *ClientConn) terms(info *callInfo) terms {
	accepted := cc.accepted
	t := terms{cc.authority, cc.userAgent, info.encoding, accepted, info.subtype, ableToJoin}
	if info.authority != "" {
		t.authority = info.authority
	}
	if info.encoding != "" && info.encoding != accepted {
		t.accepted = strings.TrimPrefix(accepted+","+info.encoding, ",")
	}
	return t
}

// says takes in whether the server has said ableToJoin.
func (cc *ClientConn) says(joins bool) {
	if cc.joins.Load() != joins { // else all calls would write here
		cc.joins.Store(joins)
	}
}

// maxReceived is the longest message that calls are meant to take by default.
func (cc *ClientConn) maxReceived() int {
	info, _ := newCallInfo(cc.callOptions)
	return info.maxReceived
}

// maxMessage is the engine's limit for messages of n bytes: there is metadata besides,
// and a message that is too long by little is to be told of in gRPC's words.
func maxMessage(n int) int64 { return max(16<<20, 2*min(int64(n), 1<<29)) }

// Invoke calls a unary method.
func (cc *ClientConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	opts = cc.combine(opts)
	if cc.unary != nil {
		return cc.unary(ctx, method, args, reply, nil, cc.invoker, opts...)
	}
	return cc.invoke(ctx, method, args, reply, opts)
}

func (cc *ClientConn) invoker(ctx context.Context, method string, args, reply any, _ *grpc.ClientConn,
	opts ...grpc.CallOption,
) error {
	return cc.invoke(ctx, method, args, reply, opts)
}

// NewStream opens a stream.
func (cc *ClientConn) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	opts = cc.combine(opts)
	if cc.stream != nil {
		return cc.stream(ctx, desc, nil, method, cc.streamer, opts...)
	}
	return cc.newStream(ctx, desc, method, opts)
}

func (cc *ClientConn) streamer(
	ctx context.Context, desc *grpc.StreamDesc, _ *grpc.ClientConn, method string, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return cc.newStream(ctx, desc, method, opts)
}

func (cc *ClientConn) newStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, opts []grpc.CallOption,
) (grpc.ClientStream, error) {
	s, err := cc.openStream(ctx, desc, method, opts)
	if err != nil {
		return nil, err // and no stream that is nil
	}
	return s, nil
}

func (cc *ClientConn) combine(opts []grpc.CallOption) []grpc.CallOption {
	if len(cc.callOptions) == 0 {
		return opts
	}
	return slices.Concat(cc.callOptions, opts)
}

// Close ends the connection: calls and streams under way fail with Canceled.
func (cc *ClientConn) Close() error {
	if cc.closed.Swap(true) {
		return errClosing
	}
	return cc.session.Close()
}

// Session is what the connection is made of.
func (cc *ClientConn) Session() *peregrine.Session { return cc.session }

// Target is what NewClient was given.
func (cc *ClientConn) Target() string { return cc.target }

// GetState is the state of the connection.
func (cc *ClientConn) GetState() connectivity.State { return connectivity.State(cc.session.State()) }

// WaitForStateChange waits until the state is another than from, and says true, or
// until ctx ends.
func (cc *ClientConn) WaitForStateChange(ctx context.Context, from connectivity.State) bool {
	return cc.session.WaitForStateChange(ctx, peregrine.ConnState(from))
}

// Connect has an idle connection connect, in the background.
func (cc *ClientConn) Connect() {
	if cc.GetState() == connectivity.Idle {
		go cc.session.Ping(context.Background())
	}
}

// peer is the server as grpc.Peer tells it.
func (cc *ClientConn) peer() *peer.Peer {
	return newPeer(cc.session.Peer(), cc.session.LocalAddr(), cc.authInfo())
}

func newPeer(remote, local netip.AddrPort, info credentials.AuthInfo) *peer.Peer {
	return &peer.Peer{Addr: net.UDPAddrFromAddrPort(remote), LocalAddr: net.UDPAddrFromAddrPort(local), AuthInfo: info}
}
