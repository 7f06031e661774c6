package dpdk

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReleasesAreInOrder(t *testing.T) {
	t.Parallel()
	require.Equal(t, "22.11.11", release{2211, 11}.String())
	require.True(t, release{2211, 11}.before(release{2403, 0}))
	require.True(t, release{2411, 1}.before(release{2411, 2}))
	require.False(t, release{2411, 2}.before(release{2411, 2}))
	s := span{release{2403, 0}, release{2411, 2}}
	for r, in := range map[release]bool{{2311, 9}: false, {2403, 0}: true, {2411, 1}: true, {2411, 2}: false} {
		require.Equal(t, in, s.has(r), "%v", r)
	}
	require.True(t, span{}.has(release{2607, 0}))
}

func TestAnArgumentIsTheReleasesOrIsNamedRight(t *testing.T) {
	t.Parallel()
	debian12, debian13, newest := release{2211, 11}, release{2411, 8}, release{2511, 4}
	for _, c := range []struct {
		driver, args string
		release
		remedy string // empty: it is taken
	}{
		{"net_ena", "", debian12, ""},
		{"net_ena", "large_llq_hdr=1", debian12, ""},
		{"net_ena", "large_llq_hdr=1", debian13, "(gone in 24.11): write llq_policy=3"},
		{"net_ena", "enable_llq=0", newest, "(gone in 24.11): write llq_policy=0 for off"},
		{"net_ena", "llq_policy=3", debian12, "(new in 24.11): write large_llq_hdr=1"},
		{"net_ena", "normal_llq_hdr=1", debian12, "(new in 24.03, gone in 24.11): write llq_policy=2"},
		{"net_ena", "control_path_poll_interval=1000", debian12, "(new in 24.03): leave it out"},
		{"net_ena", "control_path_poll_interval=1000,llq_policy=1", debian13, ""},
		{"net_ena", "control_poll_interval=1000", debian13, "write control_path_poll_interval"},
		{"net_ena", "enable_frag_bypass=1", debian13, "(new in 25.07)"},
		{"net_ena", "banana=1", debian12, "it takes [miss_txc_to large_llq_hdr enable_llq]"},
		{"mlx5_pci", "txqs_min_inline=0,rxq_cqe_comp_en=0", newest, ""},
		{"mlx5_pci", "txq_min_inline=0", debian12, "write txqs_min_inline"},
		{"mlx5_pci", "repr_matching_en=0", debian13, ""},
		{"mlx5_pci", "repr_matching_en=0", newest, "(gone in 25.11): leave it out"},
		{"net_vhost", "iface=/run/s,queue=2", debian12, "write queues"},
		{"net_virtio_user", "path=/run/s,packed_vq=1", debian12, ""},
		{"net_memif", "owner-uid=7", debian12, "(new in 23.03)"},
		{"net_ixgbe", "anything=1", debian12, ""}, // a driver that we do not know
	} {
		err := checkParameters(c.driver, device{args: c.args}, c.release)
		if c.remedy == "" {
			require.NoError(t, err, "%s of %v", c.args, c.release)
			continue
		}
		require.ErrorContains(t, err, `key "device"`)
		require.ErrorContains(t, err, c.remedy)
	}
}

func TestAVirtualDevicesDriverIsTheFrontOfItsName(t *testing.T) {
	t.Parallel()
	for name, driver := range map[string]string{
		"net_vhost0": "net_vhost", "net_virtio_user3": "net_virtio_user", "net_af_packet_eth0": "net_af_packet", "net_bonding0": "",
	} {
		require.Equal(t, driver, driverOf(name))
	}
}

func TestWhatIsKnownOfAReleaseIsNoted(t *testing.T) {
	t.Parallel()
	for r, about := range map[release]string{{2211, 11}: "RxOverflow", {2411, 0}: "LLQ", {2411, 1}: "LLQ", {2411, 8}: "", {2511, 4}: ""} {
		notes := adviceOn("net_ena", r)
		if about == "" {
			require.Empty(t, notes, "%v", r)
			continue
		}
		require.Len(t, notes, 1)
		require.Contains(t, notes[0], about)
		require.Empty(t, adviceOn("net_null", r))
	}
}

// Whoever builds with the tag has to allow what cgo does not know.
func TestTheFlagsThatCgoHasToAllowAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../../Makefile", "../../README.md", "../../docs/dpdk.md", "../../internal/tools/dpdkversions/versions.go", "unavailable.go"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.True(t, strings.Contains(string(text), "-mrtm|-moutline-atomics"), "%s lacks them", name)
	}
}
