package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/testcert"
	"github.com/peregrine-rpc/peregrine/live"
)

// shown starts a server with a page, and says where that is.
func shown(t *testing.T, env ...string) (s *running, page string) {
	t.Helper()
	return shownAt(t, env, "127.0.0.1:0")
}

// shownAt does so at an address, with further flags.
func shownAt(t *testing.T, env []string, address string, args ...string) (s *running, page string) {
	t.Helper()
	cmd := program(t, append([]string{"serve", "udp://127.0.0.1:0", "--until-eof", "--patience", "1m", "--http", address}, args...)...)
	cmd.Env = append(cmd.Env, env...)
	reader, writer := io.Pipe()
	lines := bufio.NewReader(reader)
	var err error
	s = &running{Cmd: cmd, rest: make(chan string, 1)}
	s.stdin, err = cmd.StdinPipe()
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = writer, os.Stderr
	require.NoError(t, cmd.Start())
	for page == "" {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		if rest, ok := strings.CutPrefix(line, listening); ok {
			s.addr, _, _ = strings.Cut(rest, " ")
		}
		if rest, ok := strings.CutPrefix(line, showing); ok {
			page = strings.TrimSpace(rest)
		}
	}
	go func() {
		text, _ := io.ReadAll(lines)
		s.rest <- string(text)
	}()
	t.Cleanup(func() {
		_ = s.stdin.Close()
		_ = cmd.Wait()
		_ = writer.Close()
		<-s.rest
	})
	return s, page
}

func TestAServerShowsWhatItDoes(t *testing.T) {
	t.Parallel()
	s, page := shown(t)
	require.Positive(t, perf(t, s.addr)["calls"])
	text, stderr, err := output(t, "top", page, "--count", "2", "--interval", "100ms")
	require.NoError(t, err, stderr)
	require.Equal(t, 2, strings.Count(text, "\nMETHOD "))
	require.Contains(t, text, s.addr+" over udp")
	require.Contains(t, text, "server ")
	require.NotContains(t, text, "\x1b", "a pipe is no terminal")
	answer, err := http.Get(strings.TrimSuffix(page, "debug/peregrine/"))
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, page, answer.Request.URL.String(), "the root leads there")
	http.DefaultClient.CloseIdleConnections()

	_, stderr, err = output(t, "top", s.addr, "--patience", "1m")
	require.Error(t, err)
	require.Contains(t, stderr, "http://127.0.0.1:9090")
	require.Contains(t, stderr, "--top")
	_, stderr, err = output(t, "top", "http://"+s.addr, "--count", "1")
	require.Error(t, err)
	require.Contains(t, stderr, "--http")
}

func TestTopAsksTheEndpointItself(t *testing.T) {
	t.Parallel()
	s := serveWith(t, "serve", "udp://127.0.0.1:0", "--top", "--until-eof", "--patience", "1m")
	require.Positive(t, perf(t, s.addr)["calls"])
	text, stderr, err := output(t, "top", s.addr, "--count", "2", "--interval", "100ms", "--patience", "1m")
	require.NoError(t, err, stderr)
	require.Equal(t, 2, strings.Count(text, "\nMETHOD "))
	require.Contains(t, text, s.addr+" over udp")
	s.end(t)
}

func TestOthersNeedAToken(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", "[::]:0", ":0", "10.0.0.1:9090"} {
		_, stderr, err := output(t, "serve", "udp://127.0.0.1:0", "--http", address)
		require.Error(t, err)
		require.Contains(t, stderr, tokenVariable)
	}
	_, stderr, err := output(t, "serve", "udp://127.0.0.1:0", "--http", "here")
	require.Error(t, err)
	require.Contains(t, stderr, "127.0.0.1:9090")

	const token = "0123456789abcdef"
	_, page := shown(t, tokenVariable+"="+token)
	_, stderr, err = output(t, "top", page, "--count", "1")
	require.Error(t, err)
	require.Contains(t, stderr, "a token is needed")
	with := program(t, "top", page, "--count", "1")
	with.Env = append(with.Env, tokenVariable+"="+token)
	text, err := with.CombinedOutput()
	require.NoError(t, err, string(text))
}

// Where others reach the page, a certificate does as well as a token.
func TestWhoShowsACertificateNeedsNoToken(t *testing.T) {
	t.Parallel()
	write, authority := writer(t), testcert.New("authority")
	cert, key := testcert.PEM(authority.Issue("localhost"))
	certFile, keyFile, ca := write("cert.pem", cert), write("key.pem", key), write("ca.pem", authority.PEM())
	strange, strangeKey := testcert.PEM(testcert.New("another").Issue("localhost"))
	strangeFile, strangeKeyFile := write("strange.pem", strange), write("strange.key", strangeKey)

	_, page := shownAt(t, nil, "0.0.0.0:0", "--http-cert", certFile, "--http-key", keyFile, "--http-ca", ca)
	rest, ok := strings.CutPrefix(page, "https://")
	require.True(t, ok, page)
	_, port, err := net.SplitHostPort(strings.TrimSuffix(rest, "/debug/peregrine/"))
	require.NoError(t, err)
	page = "https://127.0.0.1:" + port
	text, stderr, err := output(t, "top", page, "--count", "2", "--interval", "100ms", "--tls-ca", ca, "--tls-cert", certFile, "--tls-key", keyFile)
	require.NoError(t, err, stderr)
	require.Equal(t, 2, strings.Count(text, "\nMETHOD "))
	for _, line := range []struct {
		args []string
		said string
	}{
		{[]string{"--tls-ca", ca}, "the page does not answer"},
		{[]string{"--tls-ca", ca, "--tls-cert", strangeFile, "--tls-key", strangeKeyFile}, "the page does not answer"},
		{nil, "certificate signed by unknown authority"},
		{[]string{"--tls-ca", ca, "--tls-cert", certFile}, "--tls-key"},
		{[]string{"--tls-ca", keyFile}, "--tls-ca: "},
	} {
		_, stderr, err := output(t, append([]string{"top", page, "--count", "1"}, line.args...)...)
		require.Error(t, err)
		require.Contains(t, stderr, line.said)
	}

	for _, line := range []struct {
		args []string
		said string
	}{
		{[]string{"--http", "0.0.0.0:0", "--http-cert", certFile, "--http-key", keyFile}, tokenVariable},
		{[]string{"--http", "0.0.0.0:0", "--http-ca", ca}, "--http-cert"},
		{[]string{"--http", "127.0.0.1:0", "--http-key", keyFile}, "--http-cert"},
		{[]string{"--http", "127.0.0.1:0", "--http-cert", ca, "--http-key", keyFile}, "--http-cert: "},
		{[]string{"--http-cert", certFile, "--http-key", keyFile}, "give that as well"},
	} {
		_, stderr, err := output(t, append([]string{"serve", "udp://127.0.0.1:0"}, line.args...)...)
		require.Error(t, err)
		require.Contains(t, stderr, line.said)
	}
}

// What peers and servers say does not reach the terminal as commands.
func TestTopShowsTextAsText(t *testing.T) {
	t.Parallel()
	text := render(&live.State{Address: "a\x1b[2J", Methods: []live.Method{{Method: "m\x07\n", Failed: map[string]uint64{"\x9b1m": 2}}}})
	require.NotContains(t, text, "\x1b")
	require.NotContains(t, text, "\x07")
	require.NotContains(t, text, "\x9b")
}

// The page is looked at by a browser, at the width of a phone and of a desk, in light
// and dark. With PEREGRINE_SCREENSHOTS set to a folder, the pictures stay there.
func TestABrowserShowsThePage(t *testing.T) {
	t.Parallel()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: apt-get install chromium")
	}
	if testing.Short() {
		t.Skip("a browser has no races of ours")
	}
	s, page := shown(t)
	folder := os.Getenv("PEREGRINE_SCREENSHOTS")
	if folder == "" {
		folder = t.TempDir()
	}
	load := program(t, "perf", s.addr, "--duration", "1h", "--patience", "1m", "--poll", "block")
	require.NoError(t, load.Start())
	t.Cleanup(func() {
		_ = load.Process.Kill()
		_ = load.Wait()
	})
	for _, view := range []struct{ name, size, mode string }{
		{"phone-dark", "390,1600", "--blink-settings=preferredColorScheme=0"},
		{"phone", "390,1600", "--blink-settings=preferredColorScheme=1"},
		{"desk", "1280,1400", "--blink-settings=preferredColorScheme=1"},
		{"desk-dark", "1280,1400", "--blink-settings=preferredColorScheme=0"},
	} {
		common := []string{
			"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=" + t.TempDir(),
			"--window-size=" + view.size, "--hide-scrollbars", view.mode, "--virtual-time-budget=6000",
		}
		picture := filepath.Join(folder, view.name+".png")
		out, err := exec.CommandContext(t.Context(), browser, append(common, "--screenshot="+picture, page)...).CombinedOutput()
		require.NoError(t, err, string(out))
		info, err := os.Stat(picture)
		require.NoError(t, err, string(out))
		require.Greater(t, info.Size(), int64(10_000), "a picture of something")
	}
	html, err := exec.CommandContext(t.Context(), browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=5000", "--dump-dom", page).Output()
	require.NoError(t, err)
	require.Contains(t, string(html), s.addr+" over udp")
	require.Contains(t, string(html), "<polyline", "of round trips")
	require.NotContains(t, string(html), "no answer:")
	var state live.State
	answer, err := http.Get(page + "state")
	require.NoError(t, err)
	defer answer.Body.Close()
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&state))
	http.DefaultClient.CloseIdleConnections()
	require.NotEmpty(t, state.Methods)
}
