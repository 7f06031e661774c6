package doctor

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// FuzzParsers reads one text as each format of /proc and /sys. None panics, and
// what comes out is within bounds.
func FuzzParsers(f *testing.F) {
	for _, text := range []string{
		"0-3,8,10-11", "0-4294967295", "9223372036854775807", "9-1,-,,a", "Linux version 6.18.44-cloud (x) y", "2.13.0g", "a:b\nc : d\n",
		" 38:   0  8359 PCI-MSIX   1-edge      virtio2-input.0\nLOC: 1 2 x", "eth0 00000000 0 0003 0 0 5 00000000 0 0 0",
		"00000000000000000000000000000000 00 0 00 0 00000400 2 0 3 eth0", "Max locked memory   8388608  8388608 bytes",
		"9:name=systemd:/\n4:cpu,cpuacct:/a/../b\n0::/x", "150000 100000", "max 100000", "1e309 1e-309", "cpu  1 2 3 4 5 6 7 8 0 0",
		"resctrl /sys/fs/resctrl resctrl rw 0 0", "000001ffffffffff", "fff", "Udp: A B\nUdp: 1 2", "[none] integrity", "16.0 GT/s PCIe", "NaN",
		"DRIVER=ena\nPCI_SLOT_NAME=0000:00:05.0",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list := parseList(text)
		require.LessOrEqual(t, len(list), mostListed)
		for _, n := range list {
			require.True(t, n >= 0 && n < mostListed, n)
		}
		v := parseVersion(text)
		require.False(t, v.Major < 0 || v.Minor < 0)
		parseKeyed(text)
		parseInterrupts(text)
		parseDefaultRoute(text)
		parseDefaultRoute6(text)
		require.GreaterOrEqual(t, parseLimit(text, "Max locked memory"), int64(-1))
		unified, older := parseCgroup(text)
		for _, path := range older {
			upwards("sys/fs/cgroup/cpu", path)
		}
		for _, path := range upwards("sys/fs/cgroup", unified) {
			require.Contains(t, path, "sys/fs/cgroup")
		}
		require.GreaterOrEqual(t, parseQuota(text), 0.0)
		stolen := parseStolen(text)
		require.True(t, stolen >= 0 && stolen <= 1, stolen)
		parseMount(text, "resctrl")
		parseCapabilities(text)
		mask, ways := parseMask(text)
		require.LessOrEqual(t, ways, 64)
		require.Zero(t, longest(mask)&^mask)
		parseSNMP(text, "Udp")
		parseChosen(text)
		parseLeadingFloat(text)
		parseUevent(text)
		throttled(text)
		onDisk(text)
	})
}

// FuzzHost puts one text into all files of a sample: whatever a host says of itself,
// it is examined to the end.
func FuzzHost(f *testing.F) {
	s := readSample(f, "ena")
	for _, text := range []string{"", "0", "-1", "9223372036854775807", "0-15", "0,0,0", "99999", "2.16.0g", "0x020000", "max", "\x00", "a b c d e f g h i j"} {
		f.Add(text, "sys/devices/system/cpu/online")
	}
	f.Fuzz(func(t *testing.T, text, spared string) {
		tree := fstest.MapFS{}
		for name := range s.Files {
			tree[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if was, ok := s.Files[spared].(string); ok {
			tree[spared] = &fstest.MapFile{Data: []byte(was)}
		}
		for _, asked := range s.Asked {
			facts, err := Collect(tree, s, asked)
			if err == nil {
				Examine(facts)
			}
		}
	})
}
