package doctor

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// settings is a root folder with one file.
func settings(t *testing.T, value string) (root, file string, c Change) {
	t.Helper()
	root = t.TempDir()
	file = filepath.Join(root, "proc/sys/net/core/rmem_max")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(value+"\n"), 0o644))
	return root, file, Change{Path: "/proc/sys/net/core/rmem_max", From: "212992", To: "8388608"}
}

func TestAChangeIsMade(t *testing.T) {
	t.Parallel()
	root, file, c := settings(t, "212992")
	require.Equal(t, "/proc/sys/net/core/rmem_max: 212992 → 8388608", c.String())
	require.NoError(t, c.Apply(root))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "8388608\n", string(text))
}

func TestWhatIsNoLongerAsItWasFoundIsLeftAlone(t *testing.T) {
	t.Parallel()
	root, file, c := settings(t, "4194304")
	require.ErrorContains(t, c.Apply(root), "is 4194304 by now")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "4194304\n", string(text))
}

func TestASettingThatIsNotThereIsNotMade(t *testing.T) {
	t.Parallel()
	root, file, c := settings(t, "212992")
	require.NoError(t, os.Remove(file))
	require.ErrorIs(t, c.Apply(root), os.ErrNotExist)
	require.NoFileExists(t, file)
}

// Only what is safe is offered, and all of it can be told from where it was found.
func TestChangesAreOfKnownKinds(t *testing.T) {
	t.Parallel()
	for _, host := range sampleNames(t) {
		s := readSample(t, host)
		for question := range s.Asked {
			for _, c := range Examine(s.collect(t, question)).Changes() {
				require.Regexp(t, `^/(proc/sys/net/core/[rw]mem_max|sys/devices/system/cpu/cpu\d+/cpufreq/scaling_governor)$`, c.Path)
				require.Contains(t, s.Files, c.Path[1:])
				require.Equal(t, c.From, s.Files[c.Path[1:]])
			}
		}
	}
}
