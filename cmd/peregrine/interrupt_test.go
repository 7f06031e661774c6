//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The exit codes of a program that an interrupt, or a service manager, ended.
const (
	interruptedCode = 128 + int(syscall.SIGINT)
	terminatedCode  = 128 + int(syscall.SIGTERM)
	killedCode      = -1 // by a signal, before it minds any
)

// hangs is what no step of these tests takes on any machine.
const hangs = 2 * time.Minute

func TestAnInterruptedMeasurementPrintsWhatItHas(t *testing.T) {
	t.Parallel()
	engine, raw := serve(t), serve(t, "--raw")
	t.Run("", func(t *testing.T) {
		for name, args := range map[string][]string{
			"rate":       {engine.addr},
			"latency":    {engine.addr, "--mode", "latency"},
			"upload":     {engine.addr, "--mode", "upload", "--size", "64KiB"},
			"download":   {engine.addr, "--mode", "download", "--size", "64KiB"},
			"calls":      {engine.addr, "--call", "--window", "4"},
			"raw":        {raw.addr, "--raw"},
			"raw upload": {raw.addr, "--raw", "--mode", "upload"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				measureInterrupted(t, args)
			})
		}
	})
	engine.end(t)
	raw.end(t)
}

func measureInterrupted(t *testing.T, args []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "result.json")
	args = append([]string{"perf", "--duration", "1h", "--warmup", "0s", "--patience", "1m", "--json", path}, args...)
	// It does not say when it measures: interrupt it later and later.
	for after := 100 * time.Millisecond; ; after *= 2 {
		stdout, stderr, code := interrupt(t, after, args...)
		if code == killedCode {
			continue
		}
		require.Equal(t, interruptedCode, code, stderr)
		require.Contains(t, stderr, "interrupted")
		if strings.Contains(stderr, "before anything was measured") {
			require.NoFileExists(t, path)
			continue
		}
		require.Contains(t, stdout, "rate")
		result := readJSON(t, path)
		require.Positive(t, result["rate_rps"])
		require.Positive(t, result["goodput_gbps"])
		return
	}
}

// interrupt runs the tool for a while.
func interrupt(t *testing.T, after time.Duration, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := program(t, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	require.NoError(t, cmd.Start())
	time.Sleep(after)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	err := cmd.Wait()
	return out.String(), errOut.String(), codeOf(err)
}

// watched is a running command of which a test reads the output.
type watched struct {
	t      *testing.T
	out    *bufio.Reader
	errOut *bytes.Buffer
	signal func(os.Signal)
	wait   func() error
}

func watch(t *testing.T, args ...string) *watched {
	t.Helper()
	cmd := program(t, args...)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	require.NoError(t, cmd.Start())
	require.NoError(t, stdout.(*os.File).SetReadDeadline(time.Now().Add(hangs)))
	return &watched{
		t: t, out: bufio.NewReader(stdout), errOut: &errOut, wait: cmd.Wait,
		signal: func(s os.Signal) { require.NoError(t, cmd.Process.Signal(s)) },
	}
}

// sees reads up to a line that contains text.
func (w *watched) sees(text string) {
	w.t.Helper()
	for {
		line, err := w.out.ReadString('\n')
		require.NoError(w.t, err)
		if strings.Contains(line, text) {
			return
		}
	}
}

// ends returns the rest of the output, and the exit code.
func (w *watched) ends() (stdout, stderr string, code int) {
	w.t.Helper()
	rest, err := io.ReadAll(w.out)
	require.NoError(w.t, err)
	code = codeOf(w.wait())
	return string(rest), w.errOut.String(), code
}

func TestAnInterruptedPingPrintsItsSummary(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for count, code := range map[string]int{"0": 0, "1000000": interruptedCode} {
		w := watch(t, "ping", s.addr, "--interval", "1ms", "--count", count, "--timeout", "1m", "--patience", "1m")
		w.sees("seq=3")
		w.signal(os.Interrupt)
		stdout, stderr, got := w.ends()
		require.Equal(t, code, got, "%s %s", count, stderr)
		require.Contains(t, stdout, "answered; min")
	}
	s.end(t)
}

func TestAnInterruptedDemonstrationPrintsItsTable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo.json")
	w := watch(t, "demo", "--duration", "3h", "--json", path)
	w.sees("server:")
	w.signal(syscall.SIGTERM)
	stdout, stderr, code := w.ends()
	require.Equal(t, terminatedCode, code, stderr)
	if strings.Contains(stderr, "before anything was measured") {
		require.NoFileExists(t, path)
		return
	}
	require.Contains(t, stdout, "interrupted")
	require.Contains(t, stdout, "echo 32 B, 1 in flight")
	var results []map[string]any
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &results))
	require.Len(t, results, 1)
}

func TestAnInterruptedSimulationPrintsWhatItHas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sim.json")
	w := watch(t, "sim", "all", "--clients", "2", "--rate", "1", "--json", path)
	w.sees("Incast")
	w.signal(os.Interrupt)
	_, stderr, code := w.ends()
	require.Equal(t, interruptedCode, code, stderr)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), `"experiment": "incast"`)
}

func TestAReaderThatGoesAwayEndsTheProgramQuietly(t *testing.T) {
	t.Parallel()
	s := serve(t)
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	cmd := program(t, "ping", s.addr, "--interval", "1ms", "--timeout", "1m", "--patience", "1m")
	var errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = writer, &errOut
	require.NoError(t, cmd.Start())
	require.NoError(t, writer.Close())
	_, err = bufio.NewReader(reader).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, reader.Close()) // as head -1 does
	require.Error(t, cmd.Wait())
	require.Empty(t, errOut.String())
	s.end(t)
}

func TestJSONOnStandardOutputIsAlone(t *testing.T) {
	t.Parallel()
	s := serve(t)
	stdout, stderr, err := output(t, "ping", s.addr, "--count", "2", "--interval", "1ms", "--timeout", "1m", "--patience", "1m", "--json", "-")
	require.NoError(t, err)
	require.Contains(t, stderr, "2 sent, 2 answered")
	var result map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &result), stdout)
	s.end(t)
}

func TestARunThatFailsLeavesNoResult(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "result.json")
	_, stderr, err := output(t, "perf", "127.0.0.1:1", "--transport", "upd://", "--json", path)
	require.Error(t, err)
	require.Contains(t, stderr, "upd")
	require.NoFileExists(t, path)
}
