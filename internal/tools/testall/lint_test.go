package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestALinterIsAnotherWhenItsSourcesAre(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		key, err := linterKey(dir)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	first := write("lint/main.go", "package main")
	if again := write("lint/main.go", "package main"); again != first {
		t.Error("the same sources are another linter")
	}
	if other := write("house/layers_test.go", "package house"); other != first {
		t.Error("a test makes another linter")
	}
	seen := map[string]string{first: ""}
	for _, name := range []string{"go.mod", "go.sum", "house/layers.go", "lint/main.go"} {
		key := write(name, "changed "+name)
		if of, ok := seen[key]; ok {
			t.Errorf("%s is the same linter as before %q changed", name, of)
		}
		seen[key] = name
	}
}

func TestOldLintersAreForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{"old.exe": 1000 * time.Hour, "new.exe": time.Hour} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		used := time.Now().Add(-age)
		if err := os.Chtimes(path, used, used); err != nil {
			t.Fatal(err)
		}
	}
	forgetLinters(dir)
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "new.exe" {
		t.Errorf("left are %q, %v", left, err)
	}
}
