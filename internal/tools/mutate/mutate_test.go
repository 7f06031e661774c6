package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A package of one function, of which a test sees one boundary and not the other.
func TestMutantsThatATestNoticesAreKilled(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, filepath.Join(root, "go.mod"), "module a\n\ngo 1.26\n")
	write(t, filepath.Join(root, "a.go"), `package a

func between(n int) bool { return n > 2 && n < 5 }

func down(n int) {
	for n > 0 {
		n--
	}
}

const name = "a" + "b"

func never(n int) bool { return n > 2 }
`)
	write(t, filepath.Join(root, "a_test.go"), `package a

import "testing"

func TestBetween(t *testing.T) {
	down(3)
	if between(2) || !between(3) || between(7) {
		t.Fatal()
	}
}
`)
	mutants, err := parse(root, ".", `
Starting...
Gathering coverage... done in 1s
    RUNNABLE CONDITIONALS_BOUNDARY at a.go:3:37
    RUNNABLE CONDITIONALS_BOUNDARY at a.go:3:46
    RUNNABLE INVERT_LOGICAL at a.go:3:41
    RUNNABLE INCREMENT_DECREMENT at a.go:7:4
    RUNNABLE ARITHMETIC_BASE at a.go:11:18
    RUNNABLE CONDITIONALS_BOUNDARY at a.go:6:8
 NOT COVERED CONDITIONALS_NEGATION at a.go:13:35
`)
	if err != nil || len(mutants) != 7 {
		t.Fatal(mutants, err)
	}
	known := map[string]bool{"a.go: CONDITIONALS_BOUNDARY at 7: for n > 0 {": true}
	s := suite{root: root, scratch: t.TempDir(), name: "."}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := s.tryAll(ctx, draw(mutants, known, 1), 2); err != nil {
		t.Fatal(err)
	}
	for i, want := range []verdict{killed, lived, killed, killed, unviable, equivalent, uncovered} {
		if mutants[i].verdict != want {
			t.Errorf("%s: %q, want %q", mutants[i].place, mutants[i].verdict, want)
		}
	}
	if r := count(mutants); r.rate() != 0.75 {
		t.Error(r)
	}
}

func TestAnEquivalentWithoutAReasonIsRefused(t *testing.T) {
	t.Parallel()
	list := filepath.Join(t.TempDir(), "equivalent.txt")
	write(t, list, "# why\na\n\nb\n")
	if _, err := equivalents(list); err == nil {
		t.Fatal("b has no reason")
	}
}
