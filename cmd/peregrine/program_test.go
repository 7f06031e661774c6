package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// readJSON returns what a command wrote.
func readJSON(t *testing.T, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	result := map[string]any{}
	require.NoError(t, json.Unmarshal(text, &result))
	return result
}

// perf runs the load generator briefly and returns its result.
func perf(t *testing.T, addr string, args ...string) map[string]any {
	t.Helper()
	path := filepath.Join(t.TempDir(), "result.json")
	args = append([]string{"perf", addr, "--duration", "200ms", "--warmup", "50ms", "--patience", "1m", "--json", path}, args...)
	stdout, stderr, err := output(t, args...)
	require.NoError(t, err, "%s%s", stdout, stderr)
	require.Contains(t, stdout, "rate")
	require.Regexp(t, `(?m)^warm-up and measurement +done$`, stderr, "progress, of which a pipe gets the end of each step")
	result := readJSON(t, path)
	require.Positive(t, result["calls"], stdout)
	require.Zero(t, result["errors"])
	return result
}

func TestAServerIsMeasuredInEveryModeAndStopsWhenAsked(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, args := range [][]string{
		{},
		{"--mode", "latency", "--poll", "busy"},
		{"--mode", "upload", "--size", "1MiB"},
		{"--mode", "download", "--size", "1MiB"},
		{"--call", "--window", "8"},
		{"--sessions", "10", "--window", "20"},
		{"--no-coalesce", "--no-offload", "--poll", "block"},
		{"--size", "4000"},
	} {
		result := perf(t, s.addr, args...)
		require.Positive(t, result["rate_rps"], args)
		require.Positive(t, result["p50_us"], args)
		require.Positive(t, result["goodput_gbps"], args)
	}
	if runtime.GOOS == "windows" {
		require.Contains(t, s.end(t), "served")
		return
	}
	require.Contains(t, s.terminate(t), "served")
}

func TestCallsOverABadNetworkAllComeBackRight(t *testing.T) {
	t.Parallel()
	s := serve(t, "--patience", "10s") // for a client whose farewell was lost
	result := perf(t, s.addr, "--fault", "loss=0.02,dup=0.02,reorder=0.05,corrupt=0.001,seed=7")
	require.Positive(t, result["retransmits"])
	s.end(t)
}

func TestRawDatagramsAreMeasuredToo(t *testing.T) {
	t.Parallel()
	s := serve(t, "--raw")
	perf(t, s.addr, "--raw")
	perf(t, s.addr, "--raw", "--mode", "latency")
	perf(t, s.addr, "--raw", "--mode", "upload")
	perf(t, s.addr, "--raw", "--fault", "loss=0.01")
	require.Contains(t, s.end(t), "echoed")
}

func TestPingIsAnswered(t *testing.T) {
	t.Parallel()
	s := serve(t)
	path := filepath.Join(t.TempDir(), "ping.json")
	stdout, stderr, err := output(t, "ping", s.addr, "--count", "3", "--interval", "5ms", "--timeout", "1m", "--patience", "1m", "--json", path)
	require.NoError(t, err, stderr)
	require.Contains(t, stdout, "3 sent, 3 answered")
	result := readJSON(t, path)
	require.EqualValues(t, 3, result["received"])
	require.Positive(t, result["p50_us"])
	s.end(t)
}

func TestPingCountsWhatItHasToRepeat(t *testing.T) {
	t.Parallel()
	s := serve(t, "--fault", "loss=0.4")
	path := filepath.Join(t.TempDir(), "ping.json")
	stdout, stderr, err := output(t, "ping", s.addr, "--count", "40", "--interval", "1ms", "--timeout", "1m", "--patience", "1m", "--json", path)
	require.NoError(t, err, stderr)
	result := readJSON(t, path)
	require.EqualValues(t, 40, result["received"])
	require.Positive(t, result["repeated"])
	require.Contains(t, stdout, "for want of an answer in time")
	require.Contains(t, stdout, "in all)")
	s.end(t)
}

func TestAServerSaysWhatItRejectedAndWhy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "serve.json")
	s := serve(t, "--json", path)
	conn, err := net.Dial("udp", s.addr)
	require.NoError(t, err)
	defer conn.Close()
	for _, datagram := range []string{
		"too short", "a datagram of another protocol", "\xF7\x20" + strings.Repeat("\x00", 14), "\xF7\x1F" + strings.Repeat("\x00", 14),
		"\xF7\x13" + strings.Repeat("\x00", 40), "\xF7\x10" + strings.Repeat("\x00", 40),
	} {
		_, err = conn.Write([]byte(datagram))
		require.NoError(t, err)
	}
	_, stderr, err := output(t, "ping", s.addr, "--count", "1", "--timeout", "1m", "--patience", "1m") // behind them
	require.NoError(t, err, stderr)
	require.Contains(t, s.end(t), "rejected: length 1, magic 1, version 1, type 1, checksum 1, unknown 1")
	rejected, _ := readJSON(t, path)["rejected"].(map[string]any)
	for _, reason := range []string{"length", "magic", "version", "type", "checksum", "unknown"} {
		require.EqualValues(t, 1, rejected[reason], reason)
	}
	require.Zero(t, rejected["params"])
}

func TestTheDemonstrationSucceeds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo.json")
	stdout, stderr, err := output(t, "demo", "--duration", "1s", "--json", path)
	require.NoError(t, err, "%s%s", stdout, stderr)
	require.NotContains(t, stdout, "\x1b", "a pipe is no terminal")
	require.Contains(t, stdout, "6/6")
	require.Contains(t, stdout, "replies were complete and right")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var results []map[string]any
	require.NoError(t, json.Unmarshal(text, &results))
	require.Len(t, results, 6)
	for _, r := range results {
		require.Positive(t, r["calls"], r["phase"])
		require.Zero(t, r["errors"], r["phase"])
	}
}

func TestAServerIsFoundByItsName(t *testing.T) {
	t.Parallel()
	s := serve(t)
	_, port, err := net.SplitHostPort(s.addr)
	require.NoError(t, err)
	for _, addr := range []string{"localhost:" + port, ":" + port} {
		stdout, stderr, err := output(t, "ping", addr, "--count", "1", "--timeout", "1m", "--patience", "1m")
		require.NoError(t, err, stderr)
		require.Contains(t, stdout, "answer from "+addr)
	}
	s.end(t)
}

func TestNoServerIsAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	gone := serve(t)
	gone.end(t)
	for name, args := range map[string][]string{
		"perf":     {"perf", gone.addr},
		"raw perf": {"perf", gone.addr, "--raw"},
		"ping":     {"ping", gone.addr},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, stderr, err := output(t, args...)
			require.Error(t, err)
			require.Contains(t, stderr, "no server answers at "+gone.addr)
			require.Contains(t, stderr, "peregrine serve")
		})
	}
}

func TestATakenPortIsAnError(t *testing.T) {
	t.Parallel()
	s := serve(t)
	_, stderr, err := output(t, "serve", "udp://"+s.addr)
	require.Error(t, err)
	require.Contains(t, stderr, "cannot serve")
	s.end(t)
}

func TestAServerStartsFromAConfigurationFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "server.yaml")
	require.NoError(t, os.WriteFile(path, []byte("transport: udp://127.0.0.1:0\npoll: block\nengine: {slots: 16}\n"), 0o600))
	s := serveWith(t, "serve", "--config", path, "--until-eof")
	perf(t, s.addr)
	s.end(t)
}

func TestADemonstrationThatEndsEarlyTakesItsServerAlong(t *testing.T) {
	t.Parallel()
	for how, signal := range map[string]os.Signal{"interrupted": os.Interrupt, "killed": os.Kill} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && signal != os.Kill {
				t.Skip("Windows has no interrupt to send to another process")
			}
			demo := program(t, "demo")
			stdout, err := demo.StdoutPipe()
			require.NoError(t, err)
			// The server inherits this pipe: it ends when both processes have.
			stderr, err := demo.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, demo.Start())
			_, err = bufio.NewReader(stdout).ReadString('\n')
			require.NoError(t, err)

			require.NoError(t, demo.Process.Signal(signal))
			require.NoError(t, stderr.(*os.File).SetReadDeadline(time.Now().Add(time.Minute)))
			_, err = io.Copy(io.Discard, stderr)
			require.NoError(t, err)
			require.Error(t, demo.Wait())
		})
	}
}

func TestTheLocalTransportIsTheUsersChoice(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const url = "udp://127.0.0.1:0?ecn=false"
	result := perf(t, s.addr, "--transport", url)
	require.Equal(t, url, result["parameters"].(map[string]any)["transport"])
	s.end(t)
}
