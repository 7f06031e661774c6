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
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	key := func() string {
		t.Helper()
		key, err := linterKey(dir, "house", "rules")
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	write("go.mod", "module tools")
	write("go.sum", "")
	write("rules/main.go", "package main")
	first := key()
	for _, name := range []string{"house/layers_test.go", "lint/main.go"} {
		if write(name, "changed"); key() != first {
			t.Errorf("%s, of which it is not built, makes it another linter", name)
		}
	}
	seen := map[string]string{first: "nothing"}
	for _, name := range []string{"go.mod", "go.sum", "house/layers.go", "rules/main.go"} {
		write(name, "changed")
		if of, ok := seen[key()]; ok {
			t.Errorf("after a change of %s it is the same linter as after one of %s", name, of)
		}
		seen[key()] = name
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
