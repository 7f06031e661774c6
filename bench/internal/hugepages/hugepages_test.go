package hugepages

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// kernel is a folder like the kernel's.
func kernel(t *testing.T, reserved, free string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nr_hugepages"), []byte(reserved+"\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "free_hugepages"), []byte(free+"\n"), 0o600))
	return dir
}

func reserved(t *testing.T, dir string) int {
	t.Helper()
	n, err := read(filepath.Join(dir, "nr_hugepages"))
	require.NoError(t, err)
	return n
}

func TestPagesAreReservedBesideThoseInUseAndGivenBack(t *testing.T) {
	t.Parallel()
	dir := kernel(t, "30", "10")
	restore, err := reserve(dir, 100)
	require.NoError(t, err)
	require.Equal(t, 120, reserved(t, dir))
	require.NoError(t, restore())
	require.Equal(t, 30, reserved(t, dir))
}

func TestEnoughFreePagesAreLeftAlone(t *testing.T) {
	t.Parallel()
	dir := kernel(t, "200", "100")
	_, err := reserve(dir, 100)
	require.NoError(t, err)
	require.Equal(t, 200, reserved(t, dir))
}

func TestAKernelWithoutHugepagesIsAnError(t *testing.T) {
	t.Parallel()
	_, err := reserve(t.TempDir(), 1)
	require.ErrorContains(t, err, "no hugepages")
}
