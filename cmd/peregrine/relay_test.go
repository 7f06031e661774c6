//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// relayed starts a relay to a server on a free loopback port.
func relayed(t *testing.T, server string, args ...string) *running {
	t.Helper()
	return serveWith(t, append([]string{"relay", "udp://127.0.0.1:0", server}, args...)...)
}

// interrupted asks it to stop as Ctrl-C does.
func (s *running) interrupted(t *testing.T) string {
	t.Helper()
	require.NoError(t, s.Process.Signal(syscall.SIGINT))
	return s.wait(t)
}

func TestARelayPassesAllKindsOfCallsAndSaysWhatItDid(t *testing.T) {
	t.Parallel()
	server := serve(t)
	path := filepath.Join(t.TempDir(), "relay.json")
	for _, poll := range []string{"adaptive", "block", "busy"} {
		r := relayed(t, server.addr, "--poll", poll, "--json", path)
		for _, args := range [][]string{
			{}, {"--call"}, {"--mode", "latency"}, {"--mode", "upload", "--size", "1MiB"}, {"--mode", "download", "--size", "1MiB"},
		} {
			require.Positive(t, perf(t, r.addr, args...)["calls"])
		}
		said := r.interrupted(t)
		require.Contains(t, said, "relaying to "+server.addr+" over udp")
		require.Contains(t, said, "0 without copy and ")
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var stats map[string]any
		require.NoError(t, json.Unmarshal(text, &stats))
		require.Equal(t, stats["to_server"].(float64)+stats["to_clients"].(float64), stats["copied"])
		require.Positive(t, stats["flows_open"])
		require.GreaterOrEqual(t, stats["flows_opened"], stats["flows_open"]) // on a busy machine some are idle for long
	}
	server.end(t)
}

func TestARelayThatCannotBeSaysWhy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args   []string
		reason string
	}{
		{nil, "URL ADDR is missing: give the URL that clients send to and the server's address"},
		{[]string{"udp://127.0.0.1:0"}, "is missing: give"},
		{[]string{"upd://", "127.0.0.1:1"}, `there is no "upd" (did you mean "udp"?)`},
		{[]string{"udp://127.0.0.1:0", "udp://127.0.0.1:1"}, "is a URL: write the server's address"},
		{[]string{"udp://127.0.0.1:0", "127.0.0.1:1", "--transport", "udp://127.0.0.1:7"}, "each client needs one of its own: write port 0"},
		{[]string{"udp://127.0.0.1:0", "127.0.0.1:1", "--transport", "udp://127.0.0.1:0?sgment=1"}, `did you mean "segment"`},
		{[]string{"udp://127.0.0.1:0", "127.0.0.1:1", "--flows", "0"}, "--flows is from 1 to 32768, not 0"},
		{[]string{"udp://127.0.0.1:0", "127.0.0.1:1", "--idle", "1ms"}, "--idle is from 1s to 24h0m0s, not 1ms"},
		{[]string{"udp://127.0.0.1:0", "[::1]:1", "--transport", "udp://127.0.0.1:0"}, "the server cannot be reached from there"},
		{[]string{"udp://203.0.113.1:0", "127.0.0.1:1"}, "cannot relay"},
	} {
		_, stderr, err := output(t, append([]string{"relay"}, c.args...)...)
		require.Error(t, err, c.args)
		require.Contains(t, stderr, c.reason)
		for _, word := range goTerms {
			require.NotContains(t, stderr, word)
		}
	}
}
