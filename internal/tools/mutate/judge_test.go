package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMutantsAreCountedAndEquivalentOnesLeftOut(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte("package a\n\n\tif a < b {\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(root, "equivalent.txt")
	if err := os.WriteFile(list, []byte("# equal ones differ in nothing\na.go: CONDITIONALS_BOUNDARY at 6: if a < b {\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	known, err := equivalents(list)
	if err != nil {
		t.Fatal(err)
	}
	r, err := judge(root, parse(".", `
Starting...
       LIVED CONDITIONALS_BOUNDARY at a.go:3:7
       LIVED CONDITIONALS_NEGATION at a.go:3:7
      KILLED INVERT_LOGICAL at a.go:3:7
 NOT COVERED INVERT_LOGICAL at a.go:3:7
   TIMED OUT ARITHMETIC_BASE at a.go:3:7
Shutting down gracefully...
`), known)
	if want := (result{killed: 1, lived: 1, equivalent: 1, uncovered: 1, untold: 1}); err != nil || r != want {
		t.Fatalf("%+v, %v; want %+v", r, err, want)
	}
	if r.rate() != 0.5 {
		t.Fatal(r.rate())
	}
}

func TestAnEquivalentWithoutAReasonIsRefused(t *testing.T) {
	t.Parallel()
	list := filepath.Join(t.TempDir(), "equivalent.txt")
	if err := os.WriteFile(list, []byte("# why\na\n\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := equivalents(list); err == nil {
		t.Fatal("b has no reason")
	}
}
