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

// uploader is a `peregrine perf --mode upload`.
type uploader struct {
	cmd    *exec.Cmd
	result string
	log    strings.Builder
}

// upload starts one.
func upload(ctx context.Context, program string, in *netns.Namespace, controller string, t timing) (*uploader, error) {
	folder, err := os.MkdirTemp("", "peregrine-share")
	if err != nil {
		return nil, err
	}
	u := &uploader{result: filepath.Join(folder, "result.json")}
	u.cmd = exec.CommandContext(ctx, program, "perf", serverAddress+":31850", "--mode", "upload",
		"--size", uploadSize, "--window", uploadWindow, "--cc", controller,
		"--warmup", t.settle.String(), "--duration", t.measured.String(), "--json", u.result)
	u.cmd.Stderr = &u.log
	return u, in.Do(u.cmd.Start)
}

// goodput waits for its end, and is in bits per second.
func (u *uploader) goodput() (float64, error) {
	defer os.RemoveAll(filepath.Dir(u.result))
	if err := u.cmd.Wait(); err != nil {
		return 0, fmt.Errorf("peregrine perf: %w: %s", err, u.log.String())
	}
	text, err := os.ReadFile(u.result)
	if err != nil {
		return 0, err
	}
	var result struct {
		Goodput float64 `json:"goodput_gbps"`
	}
	err = json.Unmarshal(text, &result)
	return result.Goodput * 1e9, err
}
