package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// A server process has that long to say that it is ready, and to end.
const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
)

// serverProcess is a `peregrine serve` started by this process. It ends when
// its standard input does, so it cannot outlive us whatever happens to us.
type serverProcess struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ready string // its first line
	addr  string
	read  chan struct{} // closed when its output has ended
}

// startServer starts one on a free loopback port and waits until it is ready.
func startServer(ctx context.Context, errOut io.Writer) (*serverProcess, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program to start a server with: %w", err)
	}
	// Not bound to ctx: stop lets it end by itself, also after an interrupt.
	cmd := exec.Command(program, "serve", "udp://127.0.0.1:0", "--until-eof", "--patience", demoPatience.String())
	cmd.Stderr = errOut
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start a server: %w", err)
	}
	s := &serverProcess{cmd: cmd, stdin: stdin, read: make(chan struct{})}
	first := make(chan string, 1)
	go func() {
		defer close(s.read)
		output := bufio.NewReader(stdout)
		line, _ := output.ReadString('\n')
		first <- strings.TrimSpace(line)
		_, _ = io.Copy(io.Discard, output)
	}()
	select {
	case s.ready = <-first:
	case <-time.After(startTimeout):
	case <-ctx.Done():
		_ = s.stop()
		return nil, unmeasured(ctx, nil)
	}
	rest, ok := strings.CutPrefix(s.ready, listening)
	if !ok {
		_ = s.stop()
		return nil, fmt.Errorf("the server did not start: see its message above, or run `%s serve` to see it alone", program)
	}
	s.addr, _, _ = strings.Cut(rest, " ")
	return s, nil
}

func (s *serverProcess) pid() int { return s.cmd.Process.Pid }

// stop ends the process, at first by asking.
func (s *serverProcess) stop() error {
	_ = s.stdin.Close() // fails only if the process has ended
	kill := time.AfterFunc(stopTimeout, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	<-s.read
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("the server process: %w", err)
	}
	return nil
}
