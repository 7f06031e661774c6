package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// asProgram makes this test binary be the program instead.
const asProgram = "PEREGRINE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	// What runs in a shell's background ignores interrupts, and so would the programs that it starts: one that came
	// before they listen would be lost, and awaited for ever.
	if signal.Ignored(os.Interrupt) {
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	goleak.VerifyTestMain(m)
}

// program is the command line tool as a process of its own, with the race
// detector where the tests have it.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.WaitDelay = time.Minute
	return cmd
}

// output runs the tool to its end.
func output(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := program(t, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

// running is a server process.
type running struct {
	*exec.Cmd
	addr  string
	stdin io.WriteCloser
	rest  chan string // what it prints after the first line
}

// serve starts a server on a free loopback port.
func serve(t *testing.T, args ...string) *running {
	t.Helper()
	command := []string{"serve", "udp://127.0.0.1:0", "--until-eof"}
	if !slices.Contains(args, "--raw") {
		command = append(command, "--patience", "1m") // unless args say another
	}
	return serveWith(t, append(command, args...)...)
}

// serveWith starts a server by a whole command line.
func serveWith(t *testing.T, args ...string) *running {
	t.Helper()
	return serveBy(t, program(t, args...), func(start func() error) error { return start() })
}

// serveBy starts a server's process by a function of the caller's.
func serveBy(t *testing.T, cmd *exec.Cmd, by func(start func() error) error) *running {
	t.Helper()
	s := &running{Cmd: cmd, rest: make(chan string, 1)}
	s.Stderr = os.Stderr
	var err error
	s.stdin, err = s.StdinPipe()
	require.NoError(t, err)
	stdout, err := s.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, by(s.Start))
	lines := bufio.NewReader(stdout)
	first, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(first, listening), first)
	s.addr, _, _ = strings.Cut(strings.TrimPrefix(first, listening), " ")
	go func() {
		text, _ := io.ReadAll(lines)
		s.rest <- string(text)
	}()
	return s
}

// end closes the server's input and returns what it printed.
func (s *running) end(t *testing.T) string {
	t.Helper()
	require.NoError(t, s.stdin.Close())
	return s.wait(t)
}

// terminate asks it to stop as a service manager would.
func (s *running) terminate(t *testing.T) string {
	t.Helper()
	require.NoError(t, s.Process.Signal(syscall.SIGTERM))
	return s.wait(t)
}

func (s *running) wait(t *testing.T) string {
	t.Helper()
	printed := <-s.rest
	require.NoError(t, s.Wait())
	return printed
}
