package clone

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestAnotherUsersRepositoryIsCloned(t *testing.T) {
	t.Parallel()
	theirs := t.TempDir()
	for _, args := range [][]string{{"init", "-q"}, {"-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "--allow-empty", "-m", "first"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = theirs
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if os.Geteuid() == 0 {
		for _, name := range []string{"", ".git"} {
			if err := os.Chown(filepath.Join(theirs, name), 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
	}
	ours := filepath.Join(t.TempDir(), "ours")
	var log bytes.Buffer
	if err := Of(&log, theirs, ours); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if _, err := os.Stat(filepath.Join(ours, ".git")); err != nil {
		t.Error(err)
	}
}
