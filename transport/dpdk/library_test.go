//go:build dpdk

package dpdk

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The tables of what releases have are held against the library at hand: a test run
// with another one tests another column.

// libraryFile is the text of one of DPDK's libraries, as the linker's path has it.
func libraryFile(t *testing.T, name string) []byte {
	t.Helper()
	dir, err := exec.Command("pkg-config", "--variable=libdir", "libdpdk").Output()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), name+".so*"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skipf("%s is not installed", name)
	}
	text, err := os.ReadFile(files[0])
	require.NoError(t, err)
	return text
}

func TestTheLibraryIsOfTheReleaseThatPkgConfigNames(t *testing.T) {
	t.Parallel()
	want, err := exec.Command("pkg-config", "--modversion", "libdpdk").Output()
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(want)), libraryRelease().String())
	require.False(t, libraryRelease().before(release{2211, 0}), "the oldest that we know")
}

func TestTheArgumentsOfDriversAreThoseOfTheLibrary(t *testing.T) {
	t.Parallel()
	files := map[string][]string{
		"net_ena": {"librte_net_ena"}, "mlx5_pci": {"librte_net_mlx5", "librte_common_mlx5"}, "net_vhost": {"librte_net_vhost"},
		"net_virtio_user": {"librte_net_virtio"}, "net_memif": {"librte_net_memif"}, "net_af_packet": {"librte_net_af_packet"},
		"net_tap": {"librte_net_tap"}, "net_null": {"librte_net_null"}, "net_ring": {"librte_net_ring"}, "net_pcap": {"librte_net_pcap"},
	}
	for driver, known := range parameters {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			var text []byte
			for _, file := range files[driver] {
				text = append(text, libraryFile(t, file)...)
			}
			for _, p := range known {
				// A name ends with a zero, and begins after one unless it is also the end of a longer one.
				if p.has(libraryRelease()) {
					require.Contains(t, string(text), p.name+"\x00", "%s in %v", p.name, libraryRelease())
				} else {
					require.NotContains(t, string(text), "\x00"+p.name+"\x00", "%s in %v", p.name, libraryRelease())
				}
			}
		})
	}
}

func TestTheOptionsThatStrictEALTakesAreThoseOfTheLibrary(t *testing.T) {
	t.Parallel()
	if !strictEAL.has(libraryRelease()) {
		return // an option that it does not know is an error there, and not the end of the process
	}
	text := libraryFile(t, "librte_eal")
	for _, name := range slices.Concat(options.lists, options.values, options.maybe, options.none) {
		require.True(t, bytes.Contains(text, []byte(name+"\x00")), "%s in %v", name, libraryRelease())
	}
}

func TestEALRefusesACommandLineInTheWordsThatWeKnow(t *testing.T) {
	t.Parallel()
	text := libraryFile(t, "librte_eal")
	for _, b := range badArguments {
		require.Equal(t, b.has(libraryRelease()), bytes.Contains(text, []byte(b.words)), "%q in %v", b.words, libraryRelease())
	}
}

// Since 25.11 an option that is given twice is an error.
func TestTheUsersOptionsOfEALStandForOurs(t *testing.T) {
	alone(t, func(t *testing.T) {
		cfg := small("net_null0")
		cfg.EALArgs = []string{"--file-prefix=mine", "-m", "48", "--log-level=*:debug", "--no-telemetry", "--lcores=0@0"}
		p := opened(t, cfg, 0, 1)
		require.NoError(t, p.release(0, 0))
	})
}
