package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/peregrine-rpc/peregrine"
	pgrpc "github.com/peregrine-rpc/peregrine/grpc"
	"github.com/peregrine-rpc/peregrine/grpc/internal/testprogram"
	"github.com/peregrine-rpc/peregrine/internal/testcert"
)

// start runs the program until the test ends, and returns where it serves.
func start(t *testing.T, args ...string) (address string) {
	t.Helper()
	return regexp.MustCompile(`at ([0-9.:]+),`).FindStringSubmatch(testprogram.Start(t, run, args...))[1]
}

// ask asks for a server's health.
func ask(t *testing.T, conn grpc.ClientConnInterface) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	reply, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	require.Equal(t, healthpb.HealthCheckResponse_SERVING, reply.Status)
}

// The two bridges behind each other: gRPC, Peregrine, gRPC.
func TestTheProgramBridgesBothWays(t *testing.T) {
	t.Parallel()
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go server.Serve(listener)
	defer server.Stop()
	engine := start(t, "--listen", "udp://127.0.0.1:0", "--grpc", listener.Addr().String())
	direct, err := pgrpc.NewClient(engine)
	require.NoError(t, err)
	defer direct.Close()
	ask(t, direct)
	web := start(t, "--http", "127.0.0.1:0", "--to", engine)
	conn, err := grpc.NewClient(web, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	ask(t, conn)
}

// A bridge before servers that are sealed, each in its way.
func TestTheProgramBridgesToASealedServer(t *testing.T) {
	t.Parallel()
	key, authority := filepath.Join(t.TempDir(), "rack.psk"), testcert.New("authority")
	require.NoError(t, os.WriteFile(key, []byte(strings.Repeat("0f", 32)), 0o600))
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(trusted, authority.PEM(), 0o600))
	for _, way := range []struct {
		sealed peregrine.Option
		flags  []string
	}{
		{peregrine.WithPSKFile(key), []string{"--psk", key}},
		{peregrine.WithTLS(&tls.Config{Certificates: []tls.Certificate{authority.Issue("localhost")}}), []string{"--tls-ca", trusted}},
	} {
		server := pgrpc.NewServer()
		healthpb.RegisterHealthServer(server, health.NewServer())
		endpoint, err := server.Listen("udp://127.0.0.1:0", way.sealed)
		require.NoError(t, err)
		defer server.Stop()
		web := start(t, append([]string{"--http", "127.0.0.1:0", "--to", endpoint.Addr().String()}, way.flags...)...)
		conn, err := grpc.NewClient(web, grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		defer conn.Close()
		ask(t, conn)
	}
}

// As of peregrine serve, plain text where others reach it has to be meant.
func TestOthersAreServedPlainTextOnlyIfThatIsMeant(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--http", "0.0.0.0:0", "--to", "127.0.0.1:1"}, {"--listen", "udp://0.0.0.0:0", "--grpc", "127.0.0.1:1"},
	} {
		require.ErrorContains(t, run(t.Context(), args, io.Discard), "or say --plain if that is meant")
	}
	start(t, "--listen", "udp://0.0.0.0:0", "--grpc", "127.0.0.1:1", "--plain")
	key := filepath.Join(t.TempDir(), "rack.psk")
	require.NoError(t, os.WriteFile(key, []byte(strings.Repeat("0f", 32)), 0o600))
	start(t, "--listen", "udp://0.0.0.0:0", "--grpc", "127.0.0.1:1", "--psk", key)
}

func TestWhatCannotBeBridgedIsTold(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{}, {"--http", "127.0.0.1:0"}, {"--listen", "udp://127.0.0.1:0"}, {"--http", "127.0.0.1:0", "--to", "127.0.0.1:1", "more"},
		{"--http", "127.0.0.1:0", "--grpc", "127.0.0.1:1"}, {"--strange"},
		{"--listen", "udp://127.0.0.1:0", "--grpc", "127.0.0.1:1", "--tls-ca", "system"}, {"--listen", "strange://", "--grpc", "127.0.0.1:1"},
	} {
		require.Error(t, run(t.Context(), args, io.Discard), "%q", args)
	}
	require.NoError(t, run(t.Context(), []string{"--help"}, io.Discard))
}
