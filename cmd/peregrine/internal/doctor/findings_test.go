package doctor

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// change is one of a sample's facts that makes one finding.
type change struct {
	host, question string
	how            func(*Facts)
	says           string // of What
}

// changes are what the samples lack.
var changes = map[string]change{
	"nic-down":             {"virtio", "default", func(f *Facts) { f.NIC.Up = false }, "eth0 is down"},
	"nic-rings":            {"mlx5", "default", func(f *Facts) { f.NIC.Told.Rings.RX = 128 }, "have 128 descriptors, and may have 8192"},
	"nic-queues":           {"ena", "udp", func(f *Facts) { f.NIC.Told.Channels.Combined = 2 }, "2 queues of 8"},
	"nic-rss-table":        {"ena", "xdp", func(f *Facts) { f.NIC.Told.RSS.Queues = []int{0, 1} }, "leads to 2 of 8 queues"},
	"nic-checksum":         {"virtio", "default", func(f *Facts) { f.NIC.Told.Features["rx-checksum"] = false }, "no checksums (rx)"},
	"nic-mtu":              {"ena", "udp", func(f *Facts) { f.NIC.MTU = 1500 }, "packets of 9001 bytes pass"},
	"cpu-not-allowed":      {"container", "default", func(f *Facts) { f.Asked.CPUs = []int{1}; f.Process.Allowed = []int{2, 3} }, "not among those of this process: 2,3"},
	"cpu-clocksource":      {"ena", "udp", func(f *Facts) { f.Host.Clocksource = "xen" }, "The clock source is xen"},
	"cpu-few":              {"container", "default", func(f *Facts) { f.Process.Allowed = []int{3} }, "one CPU"},
	"cpu-busy":             {"virtio", "default", func(f *Facts) { f.CPU.Load = 33.93 }, "33.9 tasks wanted to run over the last minute, on 2 CPUs"},
	"busy-poll":            {"mlx5", "default", func(f *Facts) { f.Host.Sysctl["net.core.busy_poll"] = "50" }, "net.core.busy_poll is 50 µs"},
	"bpf-jit":              {"mlx5", "xdp", func(f *Facts) { f.Host.Sysctl["net.core.bpf_jit_enable"] = "0" }, "is 0"},
	"limited-view":         {"mlx5", "xdp", func(f *Facts) { f.Unseen = []Unseen{{"/sys/kernel/x", "permission denied"}} }, "/sys/kernel/x"},
	"uring-kernel":         {"ena", "default", func(f *Facts) { f.Host.Kernel = parseVersion("5.10.0") }, "Linux 5.10.0"},
	"uring-disabled":       {"mlx5", "default", func(f *Facts) { f.Host.Sysctl["kernel.io_uring_disabled"] = "2" }, "off for all processes"},
	"uring-copies":         {"mlx5", "default", func(f *Facts) { f.Probed.IOURing.Notes = []string{"no busy polling"} }, "no busy polling"},
	"xdp-socket":           {"mlx5", "xdp", func(f *Facts) { f.Probed.XDPSocket = "address family not supported by protocol" }, "not supported"},
	"xdp-interface":        {"container", "xdp", func(f *Facts) { f.NIC.Ether = false }, "no Ethernet interface"},
	"xdp-program":          {"mlx5", "xdp", func(f *Facts) { f.NIC.Told.XDP.Attached = true }, "on ens1f0np0 already"},
	"xdp-generic":          {"mlx5", "xdp", func(f *Facts) { f.NIC.Told.XDP.Features = 0 }, "no native mode"},
	"xdp-no-steering":      {"mlx5", "xdp", func(f *Facts) { f.NIC.Told.RSS.Key = 0 }, "does not tell the key"},
	"dpdk-not-built":       {"virtio", "default", func(f *Facts) { f.Asked.Backend = "dpdk" }, "no DPDK"},
	"dpdk-only-interface":  {"ena", "dpdk", func(f *Facts) { f.NIC.DefaultRoute = true }, "ens6 has the default route"},
	"dpdk-mlx5-driver":     {"mlx5", "dpdk", func(f *Facts) { f.Devices[0].Driver = "vfio-pci" }, "bound to vfio-pci"},
	"dpdk-mlx5-modules":    {"mlx5", "dpdk", func(f *Facts) { delete(f.Host.Modules, "mlx5_ib") }, "mlx5_ib is not loaded"},
	"dpdk-iommu":           {"ena", "dpdk", func(f *Facts) { f.Devices[1].Driver = "vfio-pci" }, "no IOMMU group"},
	"dpdk-lockdown":        {"ena", "dpdk", func(f *Facts) { f.Host.Lockdown = "integrity" }, "locked down: integrity"},
	"dpdk-privileges":      {"mlx5", "dpdk", func(f *Facts) { f.Process.Capabilities = map[string]bool{"NET_RAW": true} }, "lacks CAP_NET_ADMIN, CAP_IPC_LOCK"},
	"dpdk-write-combining": {"ena", "dpdk", func(f *Facts) { f.Devices[1].Driver = "igb_uio" }, "without wc_activate=1"},
	"cpu-far":              {"mlx5", "xdp", func(f *Facts) { f.Measured = &Measured{CacheLine: 500, CPUs: [2]int{2, 9}} }, "500ns there and back between CPUs 2 and 9"},
	"slow-clock":           {"mlx5", "xdp", func(f *Facts) { f.Measured = &Measured{Clock: 700} }, "takes 700ns"},
	"slow-system-call":     {"mlx5", "default", func(f *Facts) { f.Measured = &Measured{SystemCall: 1500} }, "takes 1.5µs"},
	"late-timer":           {"mlx5", "xdp", func(f *Facts) { f.Measured = &Measured{Timer: 4e6, TimerP99: 9e6} }, "is 4ms longer than asked"},
	"uring-no-faster": {"mlx5", "default", func(f *Facts) {
		f.Measured = &Measured{Floors: []Floor{{Backend: "udp", P50: 9, Rate: 3e6}, {Backend: "iouring", P50: 10, Rate: 2e6}}}
	}, "2.00 M calls a second here, and plain UDP 3.00 M"},
}

func TestWhatTheSamplesLackIsFoundToo(t *testing.T) {
	t.Parallel()
	for code, c := range changes {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			facts := readSample(t, c.host).collect(t, c.question)
			require.False(t, slices.ContainsFunc(Examine(facts).Findings, isCode(code)), "the sample shows it already")
			c.how(facts)
			found := Examine(facts).Findings
			i := slices.IndexFunc(found, isCode(code))
			require.GreaterOrEqual(t, i, 0, found)
			require.Contains(t, found[i].What, c.says)
		})
	}
}

func isCode(code string) func(Finding) bool { return func(f Finding) bool { return f.Code == code } }

// No code is dead: each is found in a sample or a change of one.
func TestEveryCodeIsFoundSomewhere(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, host := range sampleNames(t) {
		s := readSample(t, host)
		for question := range s.Asked {
			for _, f := range Examine(s.collect(t, question)).Findings {
				seen[f.Code] = true
			}
		}
	}
	for code := range changes {
		seen[code] = true
	}
	require.ElementsMatch(t, Codes(), slices.Collect(maps.Keys(seen)))
}

var documented = regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| (problem|advice|note) \\|")

func TestEveryCodeIsDocumentedAndEveryDocumentedCodeExists(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../../docs/doctor.md")
	require.NoError(t, err)
	levels := map[string]string{}
	for _, row := range documented.FindAllStringSubmatch(string(text), -1) {
		require.NotContains(t, levels, row[1], "twice")
		levels[row[1]] = row[2]
	}
	require.ElementsMatch(t, Codes(), slices.Collect(maps.Keys(levels)))
	for _, e := range catalogue {
		require.Equal(t, e.level.String(), levels[e.code], e.code)
		require.True(t, strings.HasSuffix(e.why, "."), e.code)
	}
}

func TestFindingsComeByTheirUse(t *testing.T) {
	t.Parallel()
	found := examine(t, "ena", "xdp").Findings
	require.True(t, slices.IsSortedFunc(found, func(a, b Finding) int { return int(a.Level) - int(b.Level) }))
	require.Equal(t, Problem, found[0].Level)
	require.Equal(t, Note, found[len(found)-1].Level)
}

// What nobody asked about is a level lower, and problems of it are none.
func TestAProblemOfABackendThatNobodyAskedForIsNone(t *testing.T) {
	t.Parallel()
	require.Zero(t, examine(t, "container", "default").Count(Problem))
	asked := examine(t, "container", "iouring")
	require.Equal(t, 1, asked.Count(Problem))
	require.Equal(t, "uring-filtered", asked.Findings[0].Code)
	for _, f := range examine(t, "mlx5", "dpdk").Findings {
		require.False(t, strings.HasPrefix(f.Code, "xdp-") || strings.HasPrefix(f.Code, "uring-"), f.Code)
	}
}

func TestFiguresAreShown(t *testing.T) {
	t.Parallel()
	facts := readSample(t, "virtio").collect(t, "default")
	facts.Measured = &Measured{
		CPUs: [2]int{1, 0}, CacheLine: 92, SystemCall: 175, Clock: 25, Timer: 55e3, TimerP99: 80e3, Slack: 50e3,
		Floors: []Floor{
			{Backend: "udp", RawP50: 8.7, P50: 10, RawRate: 330e3, Rate: 2.9e6},
			{Backend: "xdp", Error: "no privileges"},
		},
	}
	var text strings.Builder
	require.NoError(t, Examine(facts).Print(&text))
	for _, part := range []string{
		"92ns between CPUs 1 and 0 (near)", "system call  175ns", "55.0 µs late, p99 80.0 µs (slack 50.0 µs)",
		"8.70 µs", "1.15", "2.90 M", "xdp was not measured: no privileges",
	} {
		require.Contains(t, text.String(), part)
	}
}

// A command that is broken into lines cannot be copied.
func TestOnANarrowTerminalSentencesAreFoldedAndCommandsAreNot(t *testing.T) {
	t.Parallel()
	const width = 60
	f := Finding{Code: "udp-buffer", What: strings.Repeat("word ", 40), Why: "Short.", Do: []string{
		"sudo sysctl -w " + strings.Repeat("x", width) + " y z", "Or " + strings.Repeat("word ", 40),
	}}
	var b strings.Builder
	f.write(&b, width)
	for line := range strings.Lines(b.String()) {
		if !strings.Contains(line, "$ ") {
			require.LessOrEqual(t, len(line), width, line)
		}
	}
	require.Contains(t, b.String(), "$ "+f.Do[0]+"\n")
}
