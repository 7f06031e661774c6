package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/testcert"
)

func TestServeWantsToBeToldThatPlainTextIsMeantWhereOthersReachIt(t *testing.T) {
	t.Parallel()
	_, stderr, err := output(t, "serve", "udp://0.0.0.0:0", "--until-eof")
	require.Error(t, err)
	require.Contains(t, stderr, "others can reach this address")
	require.Contains(t, stderr, "--plain")

	config := filepath.Join(t.TempDir(), "server.yaml")
	require.NoError(t, os.WriteFile(config, []byte("transport: udp://0.0.0.0:0\nplain: true\n"), 0o600))
	for _, args := range [][]string{{"udp://0.0.0.0:0", "--plain"}, {"--config", config}, {"udp://127.0.0.1:0"}} {
		s := serveWith(t, append(append([]string{"serve"}, args...), "--until-eof")...)
		require.Contains(t, s.terminate(t), "connections: plain text, open to all who reach the port")
	}
}

func TestServePingAndPerfWithAPreSharedKey(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	key, other := filepath.Join(folder, "key"), filepath.Join(folder, "other")
	require.NoError(t, os.WriteFile(key, []byte(strings.Repeat("0f", 32)), 0o600))
	require.NoError(t, os.WriteFile(other, []byte(strings.Repeat("1f", 32)), 0o600))
	s := serveWith(t, "serve", "udp://127.0.0.1:0", "--psk", key, "--until-eof", "--patience", "1m")
	require.Positive(t, perf(t, s.addr, "--psk", key)["calls"])
	_, _, err := output(t, "ping", s.addr, "--psk", key, "--count", "1", "--patience", "1m")
	require.NoError(t, err)
	for _, args := range [][]string{{}, {"--psk", other}} {
		_, stderr, err := output(t, append([]string{"ping", s.addr, "--count", "1", "--patience", "1m"}, args...)...)
		require.Error(t, err)
		require.Contains(t, stderr, "pre-shared key")
	}
	require.Contains(t, s.terminate(t), "connections: pre-shared key")
}

// writer writes files, which only their owner reads, into a folder of the test's, and returns their paths.
func writer(t *testing.T) func(name string, text []byte) string {
	folder := t.TempDir()
	return func(name string, text []byte) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, text, 0o600))
		return path
	}
}

func TestServeAndPerfWithCertificates(t *testing.T) {
	t.Parallel()
	write, authority := writer(t), testcert.New("authority")
	cert, key := testcert.PEM(authority.Issue("localhost"))
	files := []string{"--tls-cert", write("cert.pem", cert), "--tls-key", write("key.pem", key), "--tls-ca", write("ca.pem", authority.PEM())}
	s := serveWith(t, append([]string{"serve", "udp://127.0.0.1:0", "--tls-mutual", "--until-eof", "--patience", "1m"}, files...)...)
	require.Positive(t, perf(t, s.addr, files...)["calls"])
	_, stderr, err := output(t, append([]string{"ping", s.addr, "--count", "1", "--timeout", "1m", "--patience", "1m"}, files[4:]...)...)
	require.Error(t, err)
	require.Contains(t, stderr, "certificate required (see --tls-ca, --tls-cert", "what the server said, and not that it said nothing")
	require.Contains(t, s.terminate(t), "connections: TLS 1.3")
}

// An authority without --tls-mutual would look as if only its clients got in.
func TestServeTakesNoHalfOfTLS(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"--tls-mutual as well":      {"--tls-cert", "cert.pem", "--tls-key", "key.pem", "--tls-ca", "ca.pem"},
		"give --tls-cert":           {"--tls-ca", "system"},
		"has to show a certificate": {"--tls-name", "localhost"},
	} {
		_, stderr, err := output(t, append([]string{"serve", "udp://127.0.0.1:0", "--until-eof"}, args...)...)
		require.Error(t, err)
		require.Contains(t, stderr, want)
	}
}

func TestRawDatagramsHaveNoConnectionsToSeal(t *testing.T) {
	t.Parallel()
	_, stderr, err := output(t, "serve", "udp://127.0.0.1:0", "--raw", "--psk", "key")
	require.Error(t, err)
	require.Contains(t, stderr, "raw datagrams have no connections")
}
