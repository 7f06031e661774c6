//go:build dpdk

package dpdk

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The interrupt thread of EAL is held inside the device's interrupt while that is
// closed. What is left of the interrupt then aborts the process at the next device;
// descriptors that are closed twice may be somebody else's by then.
func TestADeviceThatIsClosedInItsInterruptLeavesNothing(t *testing.T) {
	const marker = "LD_PRELOAD"
	l := virtio(t, "", "10.9.0.1/24", "10.9.0.2/24")
	if os.Getenv(marker) != "" {
		for range 2 {
			vhost, err := l.near(0)
			require.NoError(t, err)
			user, err := l.far(0)
			require.NoError(t, err)
			require.NoError(t, vhost.Close())
			time.Sleep(1200 * time.Millisecond) // vhost keeps its end of the socket for a second
			require.NoError(t, user.Close())
			for range 32 { // the program goes on, with descriptors of its own
				f, err := os.Open(os.DevNull)
				require.NoError(t, err)
				defer f.Close()
			}
		}
		time.Sleep(2 * time.Second) // the interrupt thread goes on
		return
	}
	preloaded := filepath.Join(t.TempDir(), "preloaded.so")
	out, err := exec.CommandContext(t.Context(), "cc", "-shared", "-fPIC", "-o", preloaded, "testdata/preloaded.c", "-ldl").CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Setenv(marker, preloaded)
	out, err = exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.timeout=2m", "-test.run=^"+t.Name()+"$").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "peeked", "the interrupt was held")
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	require.NotContains(t, string(out), "closed twice")
}
