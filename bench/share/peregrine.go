package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
	"github.com/peregrine-rpc/peregrine/internal/netns"
)

// Uploads are so short that where a measurement begins and ends does not matter,
// and so many that the window is full.
const uploadSize, uploadWindow = "64KiB", "64"

const serverURL = "udp://" + serverAddress + ":31850"

// server is a `peregrine serve`, until its standard input ends.
type server struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   strings.Builder
}

// serve starts one and waits until it listens.
func serve(ctx context.Context, program string, in *netns.Namespace) (*server, error) {
	s := &server{cmd: exec.CommandContext(ctx, program, "serve", serverURL, "--plain", "--until-eof")}
	s.cmd.Stderr = &s.log
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	s.stdin = stdin
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := in.Do(s.cmd.Start); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, side.Listening) {
		return nil, errors.Join(fmt.Errorf("peregrine serve did not start: %q", line), err, s.stop())
	}
	return s, nil
}

func (s *server) stop() error {
	_ = s.stdin.Close()
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("peregrine serve: %w: %s", err, s.log.String())
	}
	return nil
}

// caller is a `peregrine perf`, of uploads or of small calls.
type caller struct {
	cmd    *exec.Cmd
	small  bool
	folder string
	log    strings.Builder
}

// perf starts one.
func perf(ctx context.Context, program string, in *netns.Namespace, g group, t timing) (*caller, error) {
	folder, err := os.MkdirTemp("", "peregrine-share")
	if err != nil {
		return nil, err
	}
	c := &caller{small: g.small, folder: folder}
	args := []string{"perf", serverAddress + ":31850", "--cc", g.name,
		"--warmup", t.settle.String(), "--duration", t.measured.String(), "--json", c.file()}
	if g.small {
		args = append(args, "--mode", "latency")
	} else {
		args = append(args, "--mode", "upload", "--size", uploadSize, "--window", uploadWindow)
	}
	c.cmd = exec.CommandContext(ctx, program, args...)
	c.cmd.Stderr = &c.log
	return c, in.Do(c.cmd.Start)
}

func (c *caller) file() string { return filepath.Join(c.folder, "result.json") }

// result is what perf found.
type result struct {
	Goodput float64 `json:"goodput_gbps"`
	P99     float64 `json:"p99_us"`
}

// result waits for its end.
func (c *caller) result() (r result, err error) {
	defer os.RemoveAll(c.folder)
	if err := c.cmd.Wait(); err != nil {
		return r, fmt.Errorf("peregrine perf: %w: %s", err, c.log.String())
	}
	text, err := os.ReadFile(c.file())
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}
