package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// lint looks at the code as each platform compiles it: what one of them uses is not unused.
func lint(log io.Writer) error {
	return errors.Join(lintWith(log, "rules", "house"), lintWith(log, "lint"))
}

// lintWith runs the linter in a folder of internal/tools that is built from that and others.
func lintWith(log io.Writer, folder string, others ...string) error {
	linter, err := theLinter(log, folder, others)
	if err != nil {
		return err
	}
	cmd := exec.Command(linter, "-matrix", "./...")
	var matrix strings.Builder
	for _, p := range platforms {
		goos, goarch, _ := strings.Cut(p, "/")
		fmt.Fprintf(&matrix, "%s_%s: GOOS=%[1]s GOARCH=%[2]s\n", goos, goarch)
	}
	if libdpdk() == nil {
		fmt.Fprintln(&matrix, "dpdk: CGO_ENABLED=1 -tags=dpdk")
	}
	cmd.Stdin = strings.NewReader(matrix.String())
	return run(log, cmd, log)
}

// theLinter returns a linter's program, in the user's cache. It is built once for its sources and version of Go. That
// it stays the same program, to the byte, is why what it found out of unchanged packages is cached as well: staticcheck
// asks whether it is. So neither checkout nor commit may be in it.
func theLinter(log io.Writer, folder string, others []string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "peregrine-lint")
	key, err := linterKey("internal/tools", append(others, folder)...)
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, folder+"-"+key+".exe")
	if _, err := os.Stat(program); err == nil {
		now := time.Now()
		return program, os.Chtimes(program, now, now)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	forgetLinters(dir)
	building, err := os.MkdirTemp(dir, "building")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(building)
	built := filepath.Join(building, "lint.exe")
	build := exec.Command("go", "-C", "internal/tools", "build", "-trimpath", "-buildvcs=false", "-o", built, "./"+folder)
	if err := run(log, build, log); err != nil {
		return "", err
	}
	return program, os.Rename(built, program)
}

// linterKey is a digest of what a linter is built from: the module in dir, and folders of it.
func linterKey(dir string, folders ...string) (string, error) {
	digest := sha256.New()
	version, err := exec.Command("go", "env", "GOVERSION", "GOOS", "GOARCH", "GOEXPERIMENT", "CGO_ENABLED").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	digest.Write(version)
	files := []string{filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum")}
	for _, folder := range folders {
		found, _ := filepath.Glob(filepath.Join(dir, folder, "*.go")) // errs only on a malformed pattern
		files = append(files, found...)
	}
	files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(digest, "%s %d\n", filepath.Base(name), len(text))
		digest.Write(text)
	}
	return fmt.Sprintf("%x", digest.Sum(nil)[:16]), nil
}

// forgetLinters removes programs that were not used for a month. Those that cannot be removed stay.
func forgetLinters(dir string) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > 30*24*time.Hour {
			_ = os.Remove(path)
		}
		return nil
	})
}
