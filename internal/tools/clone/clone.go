// Package clone makes clones of a repository on this machine.
package clone

import (
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Of clones a repository's current commit into a new folder, also where it belongs to another user, as a CI machine's may.
// Flags are git clone's.
func Of(log io.Writer, repository, folder string, flags ...string) error {
	settings, err := os.CreateTemp("", "gitconfig")
	if err != nil {
		return err
	}
	defer os.Remove(settings.Name())
	if _, err := settings.WriteString("[safe]\n\tdirectory = *\n"); err != nil {
		return err
	}
	cmd := exec.Command("git", append(append([]string{"clone", "-q"}, flags...), repository, folder)...)
	// The process at the other end does not see what the command line or the environment sets.
	cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL="+settings.Name())
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("git clone: %w", err)
	}
	return settings.Close()
}
