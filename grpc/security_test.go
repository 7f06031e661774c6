package pgrpc_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/peregrine-rpc/peregrine"
	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
	"github.com/peregrine-rpc/peregrine/internal/testcert"
)

// identity is who a peer has shown to be, or else how its connection is sealed.
func identity(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "no peer"
	}
	return shownBy(p)
}

func shownBy(p *peer.Peer) string {
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if ok && len(info.State.VerifiedChains) > 0 {
		return info.State.VerifiedChains[0][0].Subject.CommonName
	}
	return p.AuthInfo.AuthType()
}

// guarded is a connection to a server that tells by each method whom it takes its client
// for, and what credentials came along.
func guarded(t *testing.T, server, client peregrine.Option, opts ...pgrpc.DialOption) *pgrpc.ClientConn {
	t.Helper()
	tell := func(ctx context.Context) *text {
		md, _ := metadata.FromIncomingContext(ctx)
		said := identity(ctx)
		for _, token := range md["token"] {
			said += " with " + token
		}
		return word(said)
	}
	w := newWorld(t, settings{})
	w.unary = func(ctx context.Context, _ *text) (*text, error) { return tell(ctx), nil }
	w.serve(func(ss grpc.ServerStream) error { return ss.SendMsg(tell(ss.Context())) })
	srv := pgrpc.NewServer()
	w.register(srv)
	endpoint, err := srv.Listen("udp://127.0.0.1:0", patient, server)
	require.NoError(t, err)
	t.Cleanup(srv.Stop)
	conn, err := pgrpc.NewClient(endpoint.Addr().String(), append(opts, pgrpc.WithEngine(patient, client))...)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// A handler finds in its context who the client has shown to be by its certificate, and
// a client whom it talks to.
func TestHandlersSeeWhoCallsByTLS(t *testing.T) {
	t.Parallel()
	authority := testcert.New("authority")
	server := peregrine.WithTLS(&tls.Config{
		Certificates: []tls.Certificate{authority.Issue("localhost")},
		ClientCAs:    authority.Pool(), ClientAuth: tls.VerifyClientCertIfGiven,
	})
	for _, name := range []string{"alice", "bob", ""} {
		config, want := &tls.Config{RootCAs: authority.Pool()}, "tls"
		if name != "" {
			config.Certificates, want = []tls.Certificate{authority.Issue(name)}, name
		}
		conn := guarded(t, server, peregrine.WithTLS(config))
		ctx := within(t, time.Minute)

		var asUnary peer.Peer
		out := new(text)
		require.NoError(t, conn.Invoke(ctx, unary, word(""), out, grpc.Peer(&asUnary)))
		require.Equal(t, want, out.Value)
		require.Equal(t, "localhost", shownBy(&asUnary))

		stream, err := conn.NewStream(ctx, bidiDesc, bidi)
		require.NoError(t, err)
		require.Equal(t, "localhost", identity(stream.Context()))
		require.NoError(t, stream.RecvMsg(out))
		require.Equal(t, want, out.Value)
		require.NoError(t, stream.CloseSend())
	}
}

// guard is a credential that, like oauth's, asks for a connection nobody can read.
type guard struct{}

func (guard) RequireTransportSecurity() bool { return true }

func (guard) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	info, _ := credentials.RequestInfoFromContext(ctx)
	if err := credentials.CheckSecurityLevel(info.AuthInfo, credentials.PrivacyAndIntegrity); err != nil {
		return nil, err
	}
	return map[string]string{"token": "secret"}, nil
}

// Credentials that require security are sent over sealed connections, the first call of
// one too, and over no other.
func TestCredentialsThatRequireSecurity(t *testing.T) {
	t.Parallel()
	authority := testcert.New("authority")
	key := peregrine.PSK{1, 2, 3}
	none := peregrine.WithConfig(peregrine.Config{})
	for _, way := range []struct {
		name           string
		server, client peregrine.Option
		want           string
	}{
		{
			"TLS", peregrine.WithTLS(&tls.Config{Certificates: []tls.Certificate{authority.Issue("localhost")}}),
			peregrine.WithTLS(&tls.Config{RootCAs: authority.Pool()}), "tls with secret",
		},
		{"pre-shared key", peregrine.WithPSK(key), peregrine.WithPSK(key), "psk with secret"},
		{"plain", none, none, ""},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			ofConn := guarded(t, way.server, way.client, pgrpc.WithPerRPCCredentials(guard{}))
			ofCall := guarded(t, way.server, way.client)
			for _, call := range []func(out *text) error{
				func(out *text) error { return ofConn.Invoke(within(t, time.Minute), unary, word(""), out) },
				func(out *text) error {
					return ofCall.Invoke(within(t, time.Minute), unary, word(""), out, grpc.PerRPCCredentials(guard{}))
				},
				func(out *text) error {
					stream, err := ofConn.NewStream(within(t, time.Minute), downDesc, down)
					if err != nil {
						return err
					}
					if err := stream.SendMsg(word("")); err != nil {
						return err
					}
					return stream.RecvMsg(out)
				},
			} {
				out := new(text)
				err := call(out)
				if way.want == "" {
					require.Equal(t, codes.Unauthenticated, status.Code(err))
					continue
				}
				require.NoError(t, err)
				require.Equal(t, way.want, out.Value)
			}
		})
	}
}

// An authorizer of the engine knows by its path what an RPC is for, and can refuse all
// that it has no name for.
func TestAuthorizersSeePaths(t *testing.T) {
	t.Parallel()
	conn := guarded(t, peregrine.WithAuthorizer(func(a peregrine.Access) error {
		if a.Name() == unary || a.Name() == down {
			return nil
		}
		return errors.New("not for you: " + a.Name())
	}), peregrine.WithConfig(peregrine.Config{}))
	ctx := within(t, time.Minute)
	require.NoError(t, conn.Invoke(ctx, unary, word(""), new(text)))
	for path, want := range map[string]string{down: "", bidi: "not for you: " + bidi, noSuch: "not for you: "} {
		stream, err := conn.NewStream(ctx, bidiDesc, path)
		require.NoError(t, err)
		if err = stream.RecvMsg(new(text)); want == "" {
			require.NoError(t, err)
			continue
		}
		require.Equal(t, codes.PermissionDenied, status.Code(err))
		require.Equal(t, want, status.Convert(err).Message())
	}
}
