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
	r, err := judge(root, []file{{Name: "a.go", Mutations: []mutation{
		{Type: "CONDITIONALS_BOUNDARY", Status: "LIVED", Line: 3, Column: 7},
		{Type: "CONDITIONALS_NEGATION", Status: "LIVED", Line: 3, Column: 7},
		{Type: "INVERT_LOGICAL", Status: "KILLED", Line: 3, Column: 7},
		{Type: "ARITHMETIC_BASE", Status: "TIMED OUT", Line: 3, Column: 7},
	}}}, known)
	if want := (result{killed: 1, lived: 1, equivalent: 1, untold: 1}); err != nil || r != want {
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
