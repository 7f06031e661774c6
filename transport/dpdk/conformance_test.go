//go:build dpdk

package dpdk

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/conformance"
)

func TestConformance(t *testing.T) {
	four := []string{"10.9.0.1/24", "10.9.0.2/24", "10.9.0.3/24", "10.9.0.4/24", "10.29.0.1/16", "10.29.0.2/16"}
	six := []string{"fd09::1/64", "fd09::2/64", "fd09::3/64", "fd09::4/64"}
	for _, l := range []struct {
		name string
		long bool // libvhost takes a second to notice each peer
		link func(*testing.T) link
	}{
		{"vhost to virtio-user", true, func(t *testing.T) link { return virtio(t, ",packed_vq=1", four...) }},
		{"virtio-user to vhost, split ring, IPv6", true, func(t *testing.T) link { return virtio(t, "", six...).turned() }},
		{"af_packet to kernel", false, func(t *testing.T) link { return toKernel(t, "four", four[:2]...) }},
		{"kernel to af_packet, IPv6", false, func(t *testing.T) link { return toKernel(t, "six", six...).turned() }},
	} {
		if l.long && testing.Short() {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			conformance.Transport(t, l.link(t).factory())
		})
	}
}

// Each end of a link has a process of its own.
func TestConformanceBetweenProcesses(t *testing.T) {
	conformance.Transport(t, conformance.Remote(t, virtio(t, ",packed_vq=1", "10.9.0.1/24", "10.9.0.2/24").factory()))
}

func TestConformanceOverMemif(t *testing.T) {
	conformance.Transport(t, conformance.Remote(t, memif(t, "10.9.0.1/24", "10.9.0.2/24").factory()))
}

// The engine sees no more of a device than the contract. Its peer, plain UDP, is
// killed and comes again.
func TestConformanceOfRPC(t *testing.T) {
	warmUp(t)
	conformance.RPC(t, toKernel(t, "rpc", "10.10.0.1/24", "10.10.0.2/24").factory())
}

// Either end is killed and comes again. Each story has a process of its own.
func TestAKilledPeerIsRecoveredFromOverVirtio(t *testing.T) {
	const marker = "PEREGRINE_DPDK_KILLED"
	l := virtioAgain(t, "10.9.0.1/24", "10.9.0.2/24")
	if os.Getenv(marker) != "" {
		warmUp(t)
		conformance.RPC(t, l.factory())
		return
	}
	t.Setenv(marker, "1")
	for _, story := range []string{"CallsToAServerThatIsKilledFail", "AServerForgetsAClientThatIsKilled"} {
		out, err := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.timeout=2m", "-test.run=^"+t.Name()+"$/^"+story+"$").CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS: "+t.Name()+"/"+story)
	}
}

// warmUp starts what libraries start with the first devices, for ever.
func warmUp(t *testing.T) {
	t.Helper()
	l := virtio(t, "", "10.9.0.1/24", "10.9.0.2/24")
	near, err := l.near(0)
	require.NoError(t, err)
	far, err := l.far(0)
	require.NoError(t, err)
	require.NoError(t, far.Close())
	require.NoError(t, near.Close())
}
