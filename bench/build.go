package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// programs are what is measured.
type programs struct {
	dir       string
	peregrine string // the command line tool
	engine    string // the engine's benchmarks
	// Of sealed connections:
	handshakes   string // the benchmarks of handshakes
	certificates certificates
	self         string // this program
	uringEcho    string // the echo of bench/liburing; empty: it cannot be built
}

// build builds them from the main module's folder, with a build tag or none.
func build(ctx context.Context, root, tag string) (p programs, err error) {
	if p.self, err = os.Executable(); err != nil {
		return p, fmt.Errorf("find this program, to start it as a server: %w", err)
	}
	if p.dir, err = os.MkdirTemp("", "peregrine-bench"); err != nil {
		return p, err
	}
	p.peregrine, p.engine = filepath.Join(p.dir, "peregrine"), filepath.Join(p.dir, "core.test")
	for _, args := range [][]string{
		{"-C", root, "build", "-tags", tag, "-o", p.peregrine, "./cmd/peregrine"},
		{"-C", root, "test", "-tags", tag, "-c", "-o", p.engine, "./core"},
	} {
		if err := compile(ctx, args...); err != nil {
			p.remove()
			return p, err
		}
	}
	return p, nil
}

// buildHandshakes adds what sealed connections take.
func (p *programs) buildHandshakes(ctx context.Context, root string) (err error) {
	if p.certificates, err = certify(p.dir); err != nil {
		return err
	}
	p.handshakes = filepath.Join(p.dir, "handshake.test")
	return compile(ctx, "-C", root, "test", "-c", "-o", p.handshakes, "./internal/handshake")
}

func compile(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build what is to be measured: go %s: %w (-root names the main module's folder; -dpdk needs libdpdk-dev and pkg-config)", args[2], err)
	}
	return nil
}

func (p programs) remove() { _ = os.RemoveAll(p.dir) }
