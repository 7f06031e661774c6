package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestABlockEndsWhereItNeedsMoreThanAMachine(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	text := "words\n```sh\none\n# With a card:\ntwo\n```\n```yaml\nthree\n```\n- item\n\n  ```sh\n  four\n  ```\n```sh\n# With an account:\nfive\n```\n"
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	blocks, err := blocksOf(page)
	if err != nil || len(blocks) != 2 {
		t.Fatalf("%d blocks, %v", len(blocks), err)
	}
	if b := blocks[0]; b.line != 3 || b.text != "one\n" {
		t.Errorf("%+v", b)
	}
	if b := blocks[1]; b.line != 13 || strings.TrimSpace(b.text) != "four" {
		t.Errorf("%+v", b)
	}
}

func TestATestThatIsNotThereAnyMoreHasNotPassed(t *testing.T) {
	t.Parallel()
	for _, said := range []string{
		"testing: warning: no tests to run\nPASS\n",
		"=== RUN   TestIt\n--- SKIP: TestIt (0.00s)\nPASS\n",
		"=== RUN   TestAnother\n--- PASS: TestAnother (0.00s)\n    --- PASS: TestAnother/TestIt (0.00s)\nPASS\n",
	} {
		if found, err := passed(said, []string{"TestIt"}); err == nil {
			t.Errorf("%s of %q", found, said)
		}
	}
	found, err := passed("--- PASS: TestIt (0.00s)\n--- SKIP: TestThat (0.00s)\nPASS\n", []string{"TestIt"})
	if want := "1 tests passed, skipped TestThat"; err != nil || found != want {
		t.Errorf("%q, %v", found, err)
	}
}
