package run

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
)

// A server has that long to say that it is ready, and to end.
const (
	startTimeout = 10 * time.Second
	stopTimeout  = 15 * time.Second
)

// server is a server's process. It ends with its standard input, and so with
// this process, however that ends.
type server struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	errors tail
	addr   string
	read   chan struct{} // closed when its output has ended
}

func start(c Command, more ...string) (*server, error) {
	program, args := c.argv(more...)
	s := &server{cmd: exec.Command(program, args...), read: make(chan struct{})}
	s.cmd.Stderr = &s.errors
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	s.stdin = stdin
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c, err)
	}
	first := make(chan string, 1)
	go func() {
		defer close(s.read)
		output := bufio.NewReader(stdout)
		line, _ := output.ReadString('\n')
		first <- strings.TrimSpace(line)
		_, _ = io.Copy(io.Discard, output)
	}()
	var line string
	select {
	case line = <-first:
	case <-time.After(startTimeout):
	}
	rest, ok := strings.CutPrefix(line, side.Listening)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s did not start", c), s.stop())
	}
	s.addr, _, _ = strings.Cut(rest, " ")
	return s, nil
}

// stop ends the process, at first by asking.
func (s *server) stop() error {
	_ = s.stdin.Close() // fails only if the process has ended
	kill := time.AfterFunc(stopTimeout, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	<-s.read
	return s.errors.explain("server", s.cmd.Wait())
}
