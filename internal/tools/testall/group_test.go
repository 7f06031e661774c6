//go:build unix

package main

import (
	"io"
	"os"
	"os/exec"
	"testing"
)

func TestProcessesLeftBehindAreEnded(t *testing.T) {
	t.Parallel()
	held, holds, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	cmd := exec.Command("sh", "-c", "sleep 100000 >/dev/null 2>&1 &")
	cmd.ExtraFiles = []*os.File{holds} // for as long as one of its processes lives
	if err := run(io.Discard, cmd, io.Discard); err != nil {
		t.Fatal(err)
	}
	holds.Close()
	if _, err := held.Read(make([]byte, 1)); err != io.EOF {
		t.Error("a process was left behind:", err)
	}
}
