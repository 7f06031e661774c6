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
// closed. What is left of the interrupt then aborts the process at the next device.
func TestADeviceThatIsClosedInItsInterruptLeavesNone(t *testing.T) {
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
	slow := filepath.Join(t.TempDir(), "slow.so")
	out, err := exec.CommandContext(t.Context(), "cc", "-shared", "-fPIC", "-o", slow, "testdata/slowpeek.c", "-ldl").CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Setenv(marker, slow)
	out, err = exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.timeout=2m", "-test.run=^"+t.Name()+"$").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "peeked", "the interrupt was held")
	require.Contains(t, string(out), "--- PASS: "+t.Name())
}
